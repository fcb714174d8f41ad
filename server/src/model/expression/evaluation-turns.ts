import type { Departure } from "../departure.js";
import { maxTurnSteps } from "../limits.js";

/*
 * An evaluation is bounded, but a reader asks for thousands in a row, and thousands of readers ask. Their steps are added up. Once
 * they have taken what a turn of the event loop may, whoever evaluates next waits, in a queue from which each turn lets one go:
 * everybody else runs in between, and nobody who waits is passed. It is counted, not timed, so that what happens is the same on
 * every machine.
 */

const remains: Departure = { aborted: false };

interface Waiting {
  readonly departure: Departure;
  readonly resume: () => void;
}

/** What the evaluations of a process take together, turn by turn. Whoever evaluates only now and then need not wait. */
export class EvaluationTurns {
  #steps = 0;
  /** At most one of each call that is open. */
  #waiting: Waiting[] = [];

  /** Counts steps that an evaluation has taken. */
  spend(steps: number): void {
    this.#steps += steps;
  }

  /** Whether evaluations have taken what one turn may: the next is for another turn. */
  get isOver(): boolean {
    return this.#steps >= maxTurnSteps;
  }

  /**
   * Resolves when there may be evaluations again, for at least one of whoever waits, and with the next turn where it has gone.
   * Undefined where that is so already.
   */
  nextIfOver(departure: Departure = remains): Promise<void> | undefined {
    if (!this.isOver) return undefined;
    return new Promise((resume) => {
      this.#waiting.push({ departure, resume });
      if (this.#waiting.length === 1) setImmediate(this.#begin);
    });
  }

  readonly #begin = (): void => {
    this.#steps = 0;
    const next = this.#waiting.findIndex(({ departure }) => !departure.aborted);
    const released = this.#waiting.splice(0, next < 0 ? this.#waiting.length : next + 1);
    for (const { resume } of released) resume();
    if (this.#waiting.length > 0) setImmediate(this.#begin);
  };
}
