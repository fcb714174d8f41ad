import type { Clock } from "../../server/src/model/clock.js";

/** A clock that stands still until a test moves it. */
export class ManualClock implements Clock {
  #nowMs = 1_700_000_000_000;
  #monotonicMs = 0;

  nowMs(): number {
    return this.#nowMs;
  }

  monotonicMs(): number {
    return this.#monotonicMs;
  }

  /** Lets time pass. */
  advance(milliseconds: number): void {
    this.#nowMs += milliseconds;
    this.#monotonicMs += milliseconds;
  }

  /** Sets the wall clock, as an operator or NTP does; the monotonic clock does not notice. */
  stepTo(nowMs: number): void {
    this.#nowMs = nowMs;
  }
}
