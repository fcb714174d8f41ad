import type { JsonObject, JsonValue } from "@bufbuild/protobuf";
import { describe, expect, test } from "@jest/globals";
import { canonicalObject, sortedMap } from "../../../../server/src/model/canonical-object.js";
import { maxStructDepth } from "../../../../server/src/model/limits.js";

/** So many objects in each other. */
function objects(depth: number): JsonObject {
  let value: JsonObject = {};
  for (let level = 1; level < depth; level++) value = { in: value };
  return value;
}

/** An object that holds so many lists in each other. */
function lists(depth: number): JsonObject {
  let value: JsonValue = [];
  for (let level = 1; level < depth; level++) value = [value];
  return { in: value };
}

describe("canonicalObject", () => {
  test("has its keys in order at every level, also in lists", () => {
    const one = canonicalObject({ b: [{ d: 1, c: null }], a: { f: "x", e: true } }, "payload");
    expect(JSON.stringify(one)).toBe('{"a":{"e":true,"f":"x"},"b":[{"c":null,"d":1}]}');
  });

  test("keeps the order of lists", () => {
    expect(canonicalObject({ list: [3, 1, 2] }, "payload")["list"]).toEqual([3, 1, 2]);
  });

  test("changes nothing in what it was given", () => {
    const given = { b: { d: 1, c: 2 }, a: 1 };
    canonicalObject(given, "payload");
    expect(JSON.stringify(given)).toBe('{"b":{"d":1,"c":2},"a":1}');
  });

  test("keeps keys that objects have already", () => {
    const given = JSON.parse('{"__proto__":{"x":1},"constructor":2,"toString":3}');
    const canonical = canonicalObject(given, "payload");
    expect(JSON.stringify(canonical)).toBe('{"__proto__":{"x":1},"constructor":2,"toString":3}');
    expect(({} as { x?: unknown }).x).toBeUndefined();
  });

  test.each([Number.NaN, Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY])(
    "refuses the number %p, which JSON cannot say",
    (number) => {
      expect(() => canonicalObject({ a: [{ b: number }] }, "payload")).toThrow(
        expect.objectContaining({
          reason: "INVALID_REQUEST",
          message: `payload holds the number ${number}, which is not finite`,
        }),
      );
    },
  );

  test("refuses more than 30 levels of objects or lists, and says where", () => {
    for (const nested of [objects(maxStructDepth), lists(maxStructDepth - 1)]) {
      expect(canonicalObject(nested, "payload")).toEqual(nested);
    }
    for (const nested of [objects(maxStructDepth + 1), lists(maxStructDepth), objects(20_000)]) {
      expect(() => canonicalObject(nested, "payload")).toThrow(
        expect.objectContaining({
          reason: "INVALID_REQUEST",
          message: "payload is nested deeper than 30 levels",
        }),
      );
    }
  });
});

describe("sortedMap", () => {
  test("has its keys in one order, whatever the order was", () => {
    expect(Object.entries(sortedMap({ b: "2", a: "1", "10": "x", "9": "y" }))).toEqual(
      Object.entries(sortedMap({ "9": "y", a: "1", "10": "x", b: "2" })),
    );
  });

  test("keeps keys that objects have already", () => {
    const given = JSON.parse('{"b":"1","__proto__":"2"}');
    expect(Object.entries(sortedMap(given))).toEqual([
      ["__proto__", "2"],
      ["b", "1"],
    ]);
    expect(Object.entries(sortedMap(JSON.parse('{"__proto__":"2"}')))).toEqual([["__proto__", "2"]]);
  });
});
