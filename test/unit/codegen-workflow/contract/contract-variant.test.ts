import { describe, expect, test } from "@jest/globals";
import {
  variantAt,
  variantOf,
  variantSchema,
} from "../../../../client-sdk/examples/codegen-workflow/src/contract/contract-variant.js";

const withAction = (action: string) => ({ type: "object", properties: { action: { const: action } } });
const schema = {
  $schema: "http://json-schema.org/draft-07/schema#",
  $ref: "#/definitions/star_event",
  definitions: {
    star_event: { oneOf: [{ $ref: "#/definitions/star$created" }, { $ref: "#/definitions/star$deleted" }] },
    star$created: { type: "object", properties: { action: { type: "string", enum: ["created"] } } },
    star$deleted: { allOf: [withAction("deleted"), { required: ["id"] }] },
  },
};

describe("variantOf", () => {
  test("tells the member by its constant property", () => {
    expect(variantOf(schema, { action: "created" })).toEqual({
      index: 0,
      name: "star$created",
      pointer: "#/definitions/star$created",
    });
  });

  test("finds the constant property inside allOf", () => {
    expect(variantOf(schema, { action: "deleted" })?.name).toBe("star$deleted");
  });

  test.each([
    ["no member fits", { action: "edited" }],
    ["several fit", {}],
    ["the payload is no object", ["created"]],
  ])("tells none when %s", (_what, payload) => {
    expect(variantOf(schema, payload)).toBeUndefined();
  });

  test("tells none of a contract that is no union, or refers to itself in a circle", () => {
    expect(variantOf({ type: "object" }, {})).toBeUndefined();
    expect(variantOf({ $ref: "#/definitions/a", definitions: { a: { $ref: "#/definitions/a" } } }, {})).toBeUndefined();
  });
});

describe("variantAt", () => {
  test("finds a member by its place, and nothing that is no member", () => {
    expect(variantAt(schema, "#/definitions/star$deleted")?.index).toBe(1);
    expect(variantAt(schema, "#/definitions/star_event")).toBeUndefined();
  });
});

describe("variantSchema", () => {
  test("points the contract at one member", () => {
    const variant = { index: 0, name: "star$created", pointer: "#/definitions/star$created" };
    expect(variantSchema(schema, variant)).toEqual({ ...schema, $ref: "#/definitions/star$created" });
  });
});
