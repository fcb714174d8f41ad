import type { CancelTimer, Clock } from "../time/clock.js";

/** Tells, again and again, that a wait has lasted for another timeout. */
export class IdleTimer {
  readonly #clock: Clock;
  readonly #timeoutMs: number | undefined;
  readonly #onIdle: (idleMs: number) => void;
  #cancelTimer: CancelTimer | undefined;

  /** Without a timeout it never tells anything. */
  constructor(clock: Clock, timeoutMs: number | undefined, onIdle: (idleMs: number) => void) {
    this.#clock = clock;
    this.#timeoutMs = timeoutMs;
    this.#onIdle = onIdle;
  }

  /** The wait begins. */
  start(): void {
    this.stop();
    if (this.#timeoutMs !== undefined) this.#arm(this.#timeoutMs, this.#clock.nowMs());
  }

  /** The wait is over. */
  stop(): void {
    this.#cancelTimer?.();
    this.#cancelTimer = undefined;
  }

  #arm(timeoutMs: number, sinceMs: number): void {
    const onTimeout = () => {
      this.#arm(timeoutMs, sinceMs);
      this.#onIdle(Math.round(this.#clock.nowMs() - sinceMs));
    };
    this.#cancelTimer = this.#clock.startTimer(timeoutMs, onTimeout, "background");
  }
}
