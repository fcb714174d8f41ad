import { describe, expect, test } from "@jest/globals";
import { modelSource } from "../../../../client-sdk/examples/codegen-workflow/src/generation/model-source.js";

describe("modelSource", () => {
  test("names the root type, and the types of the definitions", async () => {
    const text = await modelSource(
      {
        $ref: "#/definitions/star_event",
        definitions: {
          star_event: { type: "object", properties: { by: { $ref: "#/definitions/user" } }, required: ["by"] },
          user: {
            title: "User",
            type: "object",
            properties: { login: { type: "string" } },
            additionalProperties: false,
          },
        },
      },
      "star_event",
    );
    expect(text).toContain("export interface StarEvent {\n  by: User;");
    expect(text).toContain("export interface User {\n  login?: string;\n}");
  });

  test("expresses the tuples of 2020-12, and leaves the contract as it was", async () => {
    const schema = {
      $schema: "https://json-schema.org/draft/2020-12/schema",
      type: "array",
      prefixItems: [{ type: "string" }, { type: "number" }],
      items: false,
      minItems: 2,
    };
    const before = structuredClone(schema);
    expect(await modelSource(schema, "pair")).toMatch(/export type Pair = \[string, number\];/);
    expect(schema).toEqual(before);
  });

  test("writes the types of a contract that refers back to itself once", async () => {
    const text = await modelSource(
      {
        $ref: "#/$defs/Order",
        $defs: {
          Order: { type: "object", properties: { lines: { type: "array", items: { $ref: "#/$defs/Line" } } } },
          Line: { type: "object", properties: { order: { $ref: "#/$defs/Order" } }, additionalProperties: false },
        },
      },
      "Order",
    );
    expect(text.match(/export (interface|type) \w+/g)).toEqual(["export interface Order", "export interface Line"]);
    expect(text).toContain("order?: Order;");
  });

  test("gives the same text for the same contract", async () => {
    const schema = { type: "object", properties: { self: { $ref: "#" }, kind: { enum: ["a", "b"] } } };
    expect(await modelSource(schema, "node")).toBe(await modelSource(structuredClone(schema), "node"));
  });

  test("opens no file and no URL on behalf of a contract", async () => {
    await expect(modelSource({ $ref: "package.json" }, "x")).rejects.toThrow("resolve");
  });
});
