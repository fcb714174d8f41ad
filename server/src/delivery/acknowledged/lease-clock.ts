import type { Clock } from "../../model/clock.js";

/**
 * The time by which deliveries are leased and rest. Where one process has the store to itself, its wall clock as of the start
 * and what has passed since: a clock that is set meanwhile neither ends leases nor prolongs them. Servers that share a store can
 * agree on the wall clock only.
 */
export class LeaseClock {
  readonly #clock: Clock;
  readonly #offsetMs: number | undefined;

  constructor(clock: Clock, isShared: boolean) {
    this.#clock = clock;
    this.#offsetMs = isShared ? undefined : clock.nowMs() - clock.monotonicMs();
  }

  /** Milliseconds since 1970, whole. */
  nowMs(): number {
    if (this.#offsetMs === undefined) return this.#clock.nowMs();
    return Math.floor(this.#offsetMs + this.#clock.monotonicMs());
  }

  /** On the monotonic clock, for spans. */
  monotonicMs(): number {
    return this.#clock.monotonicMs();
  }
}
