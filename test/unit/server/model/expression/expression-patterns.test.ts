import { describe, expect, test } from "@jest/globals";
import { ExpressionPatterns } from "../../../../../server/src/model/expression/expression-patterns.js";
import { maxPatternStates } from "../../../../../server/src/model/limits.js";

describe("ExpressionPatterns.add", () => {
  test("keeps a pattern ready under its source", () => {
    const patterns = new ExpressionPatterns();
    patterns.add("^model-[0-9]+$");
    expect(patterns.find("^model-[0-9]+$")?.test("model-17")).toBe(true);
    expect(patterns.find("^model-[0-9]+$")?.test("a model-17")).toBe(false);
    expect(patterns.find("other")).toBeUndefined();
  });

  test("counts a pattern that stands twice once", () => {
    const patterns = new ExpressionPatterns();
    for (let time = 0; time < 100; time += 1) patterns.add("[a-z]{60}");
    expect(patterns.find("[a-z]{60}")?.instructions).toBeGreaterThan(60);
  });

  test("refuses patterns that are too large together", () => {
    const patterns = new ExpressionPatterns();
    patterns.add("a{600}");
    expect(() => patterns.add("b{600}")).toThrow("instructions, limit is 1000");
  });

  test.each(["x{0,1000}".repeat(90), `(((${"[a-z]".repeat(40)}){10}){10}){10}`, "(?:(?:a{0,30}){0,30}|b)".repeat(10)])(
    "refuses %.12s before it is compiled",
    (source) => {
      expect(() => new ExpressionPatterns().add(source)).toThrow("instructions, limit is 1000");
    },
  );

  test("refuses to fold the case of a million characters", () => {
    expect(() => new ExpressionPatterns().add("(?i)[b-\\x{10ffff}]")).toThrow("ignores case");
    expect(() => new ExpressionPatterns().add(`(?si:[b-${"\u{10ffff}"}])`)).toThrow("ignores case");
    new ExpressionPatterns().add("(?i)größe-[a-z]+");
  });

  test("keeps few states of an automaton that would have as many as there are texts", () => {
    const patterns = new ExpressionPatterns();
    const source = "[ab]*a[ab]{40}[^ab]";
    patterns.add(source);
    patterns.add("c[ab]*a[ab]{40}[^ab]");
    let number = 1;
    const text = Array.from({ length: 5_000 }, () => {
      number = (number * 48_271) % 2_147_483_647;
      return number % 2 === 0 ? "a" : "b";
    }).join("");
    expect(patterns.find(source)?.test("aba")).toBe(false);
    expect(patterns.states).toBeGreaterThan(0);
    expect(patterns.find(source)?.test(text)).toBe(false);
    expect(patterns.find(source)?.test(`${text}!`)).toBe(text.at(-41) === "a");
    expect(patterns.states).toBeLessThanOrEqual(maxPatternStates);
  });
});
