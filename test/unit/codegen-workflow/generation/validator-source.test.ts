import { mkdir, mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import path from "node:path";
import { pathToFileURL } from "node:url";
import { afterEach, beforeEach, describe, expect, test } from "@jest/globals";
import { runtimeFiles } from "../../../../client-sdk/examples/codegen-workflow/src/generation/validator-runtime.js";
import {
  type Validator,
  validatorSource,
} from "../../../../client-sdk/examples/codegen-workflow/src/generation/validator-source.js";
import type { JsonObject } from "../../../../client-sdk/examples/codegen-workflow/src/json-value.js";

let folder: string;
beforeEach(async () => {
  folder = await mkdtemp(path.join(tmpdir(), "validator-source-"));
});
afterEach(() => rm(folder, { recursive: true }));

/** Loads a validator from a folder that has no packages above it. */
async function load(schema: JsonObject): Promise<Validator> {
  const { text, runtimeModules } = validatorSource(schema, "./runtime");
  await mkdir(path.join(folder, "runtime"), { recursive: true });
  for (const module of runtimeModules) {
    for (const [fileName, content] of await runtimeFiles(module)) {
      await writeFile(path.join(folder, "runtime", fileName), content);
    }
  }
  const filePath = path.join(folder, "validator.mjs");
  await writeFile(filePath, text);
  return (await import(pathToFileURL(filePath).href)).validate;
}

describe("validatorSource", () => {
  test("needs nothing but the files beside it", async () => {
    const validate = await load({
      type: "object",
      properties: {
        name: { type: "string", maxLength: 2 },
        when: { type: "string", format: "date-time" },
        tags: { type: "array", uniqueItems: true, items: { type: ["object", "string"] } },
      },
    });
    expect(validate({ name: "𝒳𝒴", when: "2026-01-01T00:00:00Z", tags: [{ a: 1 }, { a: 2 }] })).toBe(true);
    expect(validate({ name: "abc", when: "yesterday", tags: [{ a: 1 }, { a: 1 }] })).toBe(false);
    expect(validate.errors?.map((error) => `${error.instancePath} ${error.keyword}`)).toEqual([
      "/name maxLength",
      "/when format",
      "/tags uniqueItems",
    ]);
  });

  test.each([
    ["draft-07", { items: [{ type: "string" }] }],
    ["2020-12", { $schema: "https://json-schema.org/draft/2020-12/schema", prefixItems: [{ type: "string" }] }],
    ["2019-09", { $schema: "https://json-schema.org/draft/2019-09/schema", items: [{ type: "string" }] }],
    ["draft-06", { $schema: "http://json-schema.org/draft-06/schema#", items: [{ type: "string" }] }],
  ])("validates as %s says", async (_dialect, schema) => {
    const validate = await load(schema as JsonObject);
    expect(validate(["a"])).toBe(true);
    expect(validate([1])).toBe(false);
  });

  test("gives the same text for the same contract", () => {
    const schema = { $ref: "#/definitions/a", definitions: { a: { type: "string", format: "uri", minLength: 1 } } };
    expect(validatorSource(schema, "./runtime").text).toBe(validatorSource(structuredClone(schema), "./runtime").text);
  });

  test("takes no text of a contract for code", async () => {
    const schema = { const: 'x = require("ajv/dist/runtime/equal").default', description: 'require("nothing")' };
    expect(validatorSource(schema, "./runtime").runtimeModules).toEqual([]);
    const validate = await load(schema);
    expect(validate('x = require("ajv/dist/runtime/equal").default')).toBe(true);
    expect(validate("x")).toBe(false);
  });

  test("ignores formats and keywords that it does not know", async () => {
    const validate = await load({ type: "string", format: "shoe-size", tsType: "Shoe" });
    expect(validate("43")).toBe(true);
  });

  test("says what it cannot compile", () => {
    expect(() => validatorSource({ $ref: "#/properties/missing" }, "./runtime")).toThrow("missing");
    expect(() => validatorSource({ $schema: "urn:mine" }, "./runtime")).toThrow('$schema "urn:mine" is not supported');
  });
});
