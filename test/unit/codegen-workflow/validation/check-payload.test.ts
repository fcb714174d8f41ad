import { describe, expect, test } from "@jest/globals";
import { createSchemaCompiler } from "../../../../client-sdk/examples/codegen-workflow/src/generation/schema-compiler.js";
import { checkPayload } from "../../../../client-sdk/examples/codegen-workflow/src/validation/check-payload.js";

const compile = (schema: object) => createSchemaCompiler("draft-07").compile(schema);

describe("checkPayload", () => {
  test("finds nothing wrong with a payload that passes", () => {
    expect(checkPayload(compile({ type: "string" }), "a")).toBeUndefined();
  });

  test("says where and what, with the detail that helps", () => {
    const validate = compile({
      properties: { action: { enum: ["opened", "closed"] }, id: { type: "integer" } },
      additionalProperties: false,
    });
    expect(checkPayload(validate, { action: "edited", id: "1", extra: 0 })).toEqual({
      errorCount: 3,
      errors: [
        { path: "", message: 'must NOT have additional properties: "extra"' },
        { path: "/action", message: 'must be equal to one of the allowed values: ["opened","closed"]' },
        { path: "/id", message: "must be integer" },
      ],
    });
  });

  test("puts the errors of values before those of the unions around them", () => {
    const validate = compile({ properties: { a: { anyOf: [{ type: "string" }] }, b: { type: "number" } } });
    const paths = checkPayload(validate, { a: 1, b: "x" })?.errors.map(({ path, message }) => `${path} ${message}`);
    expect(paths).toEqual(["/a must be string", "/b must be number", "/a must match a schema in anyOf"]);
  });

  test("keeps five errors and counts all", () => {
    const result = checkPayload(compile({ items: { type: "string" } }), [1, 2, 3, 4, 5, 6, 7]);
    expect(result?.errorCount).toBe(7);
    expect(result?.errors).toHaveLength(5);
  });
});
