import type { Clock } from "../../../../client-sdk/src/time/clock.js";

interface Timer {
  readonly atMs: number;
  readonly delayMs: number;
  readonly kind: string;
  readonly callback: () => void;
}

/** A clock that moves only when the test says so. Jitter is at its least: `random` is always 0. */
export class ManualClock implements Clock {
  #nowMs = 0;
  readonly #timers = new Set<Timer>();
  readonly #waiting: (() => void)[] = [];

  nowMs(): number {
    return this.#nowMs;
  }

  random(): number {
    return 0;
  }

  startTimer(delayMs: number, callback: () => void, kind = "foreground"): () => void {
    const timer = { atMs: this.#nowMs + delayMs, delayMs, kind, callback };
    this.#timers.add(timer);
    for (const wake of this.#waiting.splice(0)) wake();
    return () => this.#timers.delete(timer);
  }

  /** Delays of the timers that are running, shortest first. */
  delaysMs(): readonly number[] {
    return [...this.#timers].map(({ delayMs }) => delayMs).sort((a, b) => a - b);
  }

  /** Waits until a timer of this delay runs. */
  async timerStarted(delayMs: number): Promise<void> {
    while (!this.delaysMs().includes(delayMs)) await new Promise<void>((resolve) => this.#waiting.push(resolve));
  }

  /** Moves on, firing what falls due, in order. */
  advance(ms: number): void {
    const untilMs = this.#nowMs + ms;
    for (let timer = this.#nextDue(untilMs); timer !== undefined; timer = this.#nextDue(untilMs)) {
      this.#timers.delete(timer);
      this.#nowMs = Math.max(this.#nowMs, timer.atMs);
      timer.callback();
    }
    this.#nowMs = untilMs;
  }

  #nextDue(untilMs: number): Timer | undefined {
    const due = [...this.#timers].filter(({ atMs }) => atMs <= untilMs);
    return due.sort((a, b) => a.atMs - b.atMs)[0];
  }
}
