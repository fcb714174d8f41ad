import { celEnv, parse, plan } from "@bufbuild/cel";
import { createRegistry } from "@bufbuild/protobuf";
import { reflect } from "@bufbuild/protobuf/reflect";
import { type CoordinationSignal, CoordinationSignalSchema } from "@coordination-signals/proto/coordination/v1/signal";
import { describe, expect, test } from "@jest/globals";
import fc from "fast-check";
import { CoordinationError } from "../../server/src/model/coordination-error.js";
import { type FilterExpression, FilterExpressionCompiler } from "../../server/src/model/filter-expression.js";
import { anyExpression, evaluatedSignals, typed } from "../support/random-expressions.js";

/** The expression, or undefined when it was refused as an expression may be refused. */
function compileOrRefuse(compiler: FilterExpressionCompiler, text: string): FilterExpression | undefined {
  try {
    return compiler.compile(text);
  } catch (error) {
    expect(error).toBeInstanceOf(CoordinationError);
    expect(error).toMatchObject({ reason: "INVALID_FILTER", metadata: { part: "expression" } });
    return undefined;
  }
}

function matchOrRunOut(expression: FilterExpression, signal: CoordinationSignal): void {
  try {
    expect(typeof expression.matches(signal)).toBe("boolean");
  } catch (error) {
    expect(error).toBeInstanceOf(CoordinationError);
    expect(error).toMatchObject({ reason: "FILTER_BUDGET_EXCEEDED" });
  }
}

describe("a filter expression from an unknown client", () => {
  test("is refused, or answers yes or no, or runs out of its budget, and never throws anything else", () => {
    const compiler = new FilterExpressionCompiler();
    let accepted = 0;
    fc.assert(
      fc.property(anyExpression, (text) => {
        const expression = compileOrRefuse(compiler, text);
        if (expression === undefined) return;
        accepted += 1;
        for (const signal of evaluatedSignals) matchOrRunOut(expression, signal);
      }),
      { numRuns: 1_500 },
    );
    // The property says nothing when everything is refused.
    expect(accepted).toBeGreaterThan(200);
  });

  test("means what it means to the evaluator without checks and budget", () => {
    const compiler = new FilterExpressionCompiler();
    const registry = createRegistry(CoordinationSignalSchema.file);
    const plain = celEnv({ registry, namespace: "coordination.v1" });
    let accepted = 0;
    fc.assert(
      fc.property(typed, fc.constantFrom(...evaluatedSignals.slice(0, 3)), (text, signal) => {
        const expression = compileOrRefuse(compiler, text);
        if (expression === undefined) return;
        accepted += 1;
        const expected = plan(plain, parse(text))({ signal: reflect(CoordinationSignalSchema, signal) });
        expect(expression.matches(signal)).toBe(expected === true);
      }),
      { numRuns: 2_000 },
    );
    expect(accepted).toBeGreaterThan(500);
  });
});
