import { CelScalar } from "@bufbuild/cel";
import type { CoordinationSignal } from "@coordination-signals/proto/coordination/v1/signal";
import { CoordinationError } from "./coordination-error.js";
import type { EvaluationTurns } from "./expression/evaluation-turns.js";
import { ExpressionError } from "./expression/expression-error.js";
import { maxCachedExpressions } from "./limits.js";
import { SignalExpressionCompiler } from "./signal-expression.js";

/** A filter's expression that is ready to run. */
export interface FilterExpression {
  /**
   * Whether the expression is true of a signal. One that has no value or one that is no bool is not true. Throws
   * FILTER_BUDGET_EXCEEDED when the evaluation would take more than `maxExpressionSteps`.
   */
  matches(signal: CoordinationSignal): boolean;
}

const purpose = { resultType: CelScalar.BOOL, name: "filter expression", part: "expression" };

/** Compiles filters' expressions and keeps the last `maxCachedExpressions`: clients that come back bring the same ones. */
export class FilterExpressionCompiler {
  readonly #cache = new Map<string, FilterExpression>();
  readonly #compiler: SignalExpressionCompiler;

  /** @param compiler what compiles expressions. Default: one of its own. */
  constructor(compiler = new SignalExpressionCompiler()) {
    this.#compiler = compiler;
  }

  /** Counts what the evaluations take. */
  get turns(): EvaluationTurns {
    return this.#compiler.turns;
  }

  /** Has all evaluations in a piece of work take no more steps together than one may. */
  onOneBudget<T>(work: () => T): T {
    return this.#compiler.onOneBudget(work);
  }

  /** Compiles an expression. Throws INVALID_FILTER with metadata `part` and `position`. */
  compile(text: string): FilterExpression {
    const expression = this.#cache.get(text) ?? this.#compile(text);
    // Taken out and put back, so that the map's order is the order of last use.
    this.#cache.delete(text);
    this.#cache.set(text, expression);
    for (const oldest of this.#cache.keys()) {
      if (this.#cache.size <= maxCachedExpressions) break;
      this.#cache.delete(oldest);
    }
    return expression;
  }

  #compile(text: string): FilterExpression {
    try {
      const expression = this.#compiler.compile(text, purpose);
      return { matches: (signal) => expression.evaluate(signal) === true };
    } catch (error) {
      throw error instanceof ExpressionError ? invalidFilterExpression(error) : error;
    }
  }
}

function invalidFilterExpression({ description, position }: ExpressionError): CoordinationError {
  return new CoordinationError("INVALID_FILTER", `filter expression ${description}`, {
    metadata: { part: purpose.part, position },
  });
}
