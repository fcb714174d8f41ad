import { maxExpressionSteps } from "../limits.js";

/**
 * Counts the work of one evaluation. Evaluations do not overlap, so one meter serves all expressions of a compiler.
 * Once it is exhausted it stays so until the next `start`: an error that `||` swallows is not forgotten.
 */
export class EvaluationMeter {
  #left = 0;

  /** Begins an evaluation. */
  start(): void {
    this.#left = maxExpressionSteps;
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
