import { describe, expect, test } from "@jest/globals";
import fc from "fast-check";
import { compileGlob, isGlob } from "../../../../server/src/model/glob.js";

/** The definition, word for word; exponential, so only for short texts. */
function matchesByDefinition(pattern: string, text: string): boolean {
  const [first, ...rest] = pattern;
  if (first === undefined) return text === "";
  const others = rest.join("");
  if (first === "*") {
    return matchesByDefinition(others, text) || (text !== "" && matchesByDefinition(pattern, text.slice(1)));
  }
  return text !== "" && (first === "?" || first === text[0]) && matchesByDefinition(others, text.slice(1));
}

describe("compileGlob", () => {
  test.each([
    ["model-generator", "model-generator", true],
    ["model-generator", "model-generator-2", false],
    ["*", "", true],
    ["*", "anything", true],
    ["?", "", false],
    ["?", "a", true],
    ["model-*", "model-", true],
    ["model-*", "a-model-", false],
    ["*-generator", "validator-generator", true],
    ["*-generator", "validator-generators", false],
    ["a*b*c", "a-b-b-c", true],
    ["a*b*c", "a-c-b", false],
    ["agent-??", "agent-07", true],
    ["agent-??", "agent-7", false],
    ["**", "x", true],
    ["*?*", "", false],
    ["a.c", "abc", false],
    ["[ab]", "a", false],
    ["Model", "model", false],
  ])("%s on %s is %s", (pattern, text, expected) => {
    expect(compileGlob(pattern)(text)).toBe(expected);
  });

  test("counts a character outside the basic plane as one", () => {
    expect(compileGlob("?")("\u{1F600}")).toBe(true);
    expect(compileGlob("??")("\u{1F600}")).toBe(false);
    expect(compileGlob("*\u{1F600}?")("a\u{1F600}\u{1F601}")).toBe(true);
  });

  test("agrees with the definition", () => {
    const pattern = fc.string({ unit: fc.constantFrom("a", "b", "*", "?"), maxLength: 8 });
    const text = fc.string({ unit: fc.constantFrom("a", "b"), maxLength: 10 });
    fc.assert(
      fc.property(pattern, text, (glob, candidate) => {
        expect(compileGlob(glob)(candidate)).toBe(matchesByDefinition(glob, candidate));
      }),
      { numRuns: 2000 },
    );
  });

  test("ends on a pattern that would take a backtracking matcher longer than the universe lasts", () => {
    const matches = compileGlob(`${"*a".repeat(100)}*b`);
    expect(matches("a".repeat(200))).toBe(false);
    expect(matches(`${"a".repeat(199)}b`)).toBe(true);
  });
});

describe("isGlob", () => {
  test("tells patterns from names", () => {
    expect(["a*", "?", "a.b:c/d-e_f"].map(isGlob)).toEqual([true, true, false]);
  });
});
