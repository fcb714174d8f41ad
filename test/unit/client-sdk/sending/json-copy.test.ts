import type { JsonObject } from "@bufbuild/protobuf";
import { describe, expect, test } from "@jest/globals";
import { InvalidRequestError } from "../../../../client-sdk/src/errors/coordination-client-error.js";
import { copyJsonObject } from "../../../../client-sdk/src/sending/json-copy.js";

/** What a program that is not type-checked may pass. */
const untyped = (value: unknown) => value as JsonObject;

describe("copyJsonObject", () => {
  test("copies everything that JSON has", () => {
    const value = {
      text: "a",
      number: 1.5,
      yes: true,
      nothing: null,
      list: [1, ["b", {}]],
      object: { deep: { er: 1 } },
    };
    const copy = copyJsonObject(value, "payload");
    expect(copy).toEqual(value);
    value.object.deep.er = 2;
    expect(copy).toMatchObject({ object: { deep: { er: 1 } } });
  });

  test("leaves out what is undefined", () => {
    expect(copyJsonObject(untyped({ a: undefined, b: { c: undefined } }), "payload")).toEqual({ b: {} });
  });

  test("keeps a field named __proto__ as a field", () => {
    const copy = copyJsonObject(untyped(JSON.parse('{"__proto__":{"polluted":1}}')), "payload");
    expect(Object.keys(copy)).toEqual(["__proto__"]);
    expect(copy["polluted"]).toBeUndefined();
  });

  test.each<[string, unknown, string]>([
    ["a number that is none", { a: [Number.NaN] }, "payload.a[0] is NaN"],
    ["a bigint", { a: 1n }, "payload.a is a bigint"],
    ["a function", { a: () => 1 }, "payload.a is a function"],
    ["a Date", { a: new Date(0) }, "payload.a is a Date"],
    ["a Map", { a: { b: new Map() } }, "payload.a.b is a Map"],
    ["undefined in a list", { a: [undefined] }, "payload.a[0] is a undefined"],
    ["a list", [1], "payload is not a JSON object"],
    ["a text", "text", "payload is not a JSON object"],
  ])("refuses %s and says where", (_, value, message) => {
    expect(() => copyJsonObject(untyped(value), "payload")).toThrow(InvalidRequestError);
    expect(() => copyJsonObject(untyped(value), "payload")).toThrow(message);
  });

  test("refuses what is nested too deep, itself included", () => {
    const circular: { self?: unknown } = {};
    circular.self = circular;
    expect(() => copyJsonObject(untyped(circular), "payload")).toThrow("nested more than 64 deep");
  });
});
