import { maxExpressionSteps } from "../limits.js";

/**
 * Counts the work of one evaluation. Evaluations do not overlap, so one meter serves all expressions of a compiler.
 * Once it is exhausted it stays so until the next `start`: an error that `||` swallows is not forgotten.
 */
export class EvaluationMeter {
  #left = 0;
  #isShared = false;

  /** Begins an evaluation; one of those that share a budget goes on with what the others have left. */
  start(): void {
    if (!this.#isShared) this.#left = maxExpressionSteps;
  }

  /** Has all evaluations in a piece of work share the budget of one; a piece of such work has its own. */
  share<T>(work: () => T): T {
    const [left, isShared] = [this.#left, this.#isShared];
    this.#left = maxExpressionSteps;
    this.#isShared = true;
    try {
      return work();
    } finally {
      this.#left = left;
      this.#isShared = isShared;
    }
  }

  /** What is left of the budget. */
  get left(): number {
    return this.#left;
  }

  /** Whether more was charged than one evaluation may take. */
  get isExhausted(): boolean {
    return this.#left < 0;
  }

  /** Charges work before it is done. Throws when it is too much, so that it is not done. */
  charge(steps: number): void {
    this.#left -= steps;
    if (this.#left < 0) {
      this.#left = -1;
      throw new Error(`evaluation takes more than ${maxExpressionSteps} steps`);
    }
  }
}
