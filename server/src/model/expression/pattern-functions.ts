import { type CelFunc, CelScalar, celFunc, celMethod } from "@bufbuild/cel";
import type { EvaluationState } from "./metered-functions.js";

const { BOOL, STRING } = CelScalar;
/** Instructions of a pattern, each applied to one character, in one step. */
const instructionsPerStep = 5;

/** `text.matches(pattern)` and `matches(text, pattern)`, by the patterns that were compiled with the expression. */
export function patternFunctions(state: EvaluationState): readonly CelFunc[] {
  const matches = (text: string, source: string): boolean => {
    const pattern = state.patterns?.find(source);
    if (pattern === undefined) throw new Error("pattern was not compiled");
    state.meter.charge(1 + (text.length * pattern.instructions) / instructionsPerStep);
    return pattern.test(text);
  };
  return [
    celFunc("matches", [STRING, STRING], BOOL, matches),
    celMethod("matches", STRING, [STRING], BOOL, function (source) {
      return matches(this, source);
    }),
  ];
}
