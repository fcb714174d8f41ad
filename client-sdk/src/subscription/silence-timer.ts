import type { CancelTimer, Clock } from "../time/clock.js";

/**
 * Tells when a wait has lasted too long. Made for many short waits: starting and ending one touches no timer, because the one
 * there is looks at the wait of its time when it fires.
 */
export class SilenceTimer {
  readonly #clock: Clock;
  readonly #timeoutMs: number;
  readonly #onSilence: () => void;
  #sinceMs: number | undefined;
  #cancelTimer: CancelTimer | undefined;

  constructor(clock: Clock, timeoutMs: number, onSilence: () => void) {
    this.#clock = clock;
    this.#timeoutMs = timeoutMs;
    this.#onSilence = onSilence;
  }

  /** A wait begins. */
  begin(): void {
    this.#sinceMs = this.#clock.nowMs();
    if (this.#cancelTimer === undefined) this.#arm(this.#timeoutMs);
  }

  /** The wait is over. */
  end(): void {
    this.#sinceMs = undefined;
  }

  /** No wait follows. */
  stop(): void {
    this.#sinceMs = undefined;
    this.#cancelTimer?.();
    this.#cancelTimer = undefined;
  }

  #arm(delayMs: number): void {
    this.#cancelTimer = this.#clock.startTimer(delayMs, () => this.#check());
  }

  #check(): void {
    this.#cancelTimer = undefined;
    if (this.#sinceMs === undefined) return;
    const restMs = this.#sinceMs + this.#timeoutMs - this.#clock.nowMs();
    if (restMs > 0) this.#arm(restMs);
    else this.#onSilence();
  }
}
