import type { ReaderIndex, ReaderInterest } from "../state/reader-index.js";

/** What ended a wait. */
export type WaitOutcome = "changed" | "timeout" | "aborted";

/** What a reader waits for. */
export interface ChangeWaitOptions {
  readonly readers: ReaderIndex;
  readonly interest: ReaderInterest;
  readonly abort: AbortSignal;
}

// A longer delay makes Node's timers fire at once.
const maxTimeoutMs = 2 ** 31 - 1;

/**
 * The waits of one reader for something that can concern it. A busy reader waits thousands of times a second and an idle one
 * costs only memory, so there is one listener and at most one timer for all of them: a timer that is there already looks,
 * when it fires, at the wait of its time.
 */
export class ChangeWait {
  readonly #options: ChangeWaitOptions;
  #resolve: ((outcome: WaitOutcome) => void) | undefined;
  #leave: (() => void) | undefined;
  /** When the wait is over. */
  #dueMs = 0;
  #timer: NodeJS.Timeout | undefined;
  #timerDueMs = 0;

  constructor(options: ChangeWaitOptions) {
    this.#options = options;
    options.abort.addEventListener("abort", this.#onAbort);
  }

  /**
   * Parks the reader until something that can concern it happened, it has gone or the time is over. Parking happens before
   * the call returns: nothing that comes after the caller's last look is missed. One wait at a time.
   */
  wait(timeoutMs: number): Promise<WaitOutcome> {
    const { readers, interest, abort } = this.#options;
    if (abort.aborted) return Promise.resolve("aborted");
    this.#dueMs = performance.now() + timeoutMs;
    this.#arm();
    this.#leave = readers.park(interest, this.#onChange);
    return new Promise((resolve) => {
      this.#resolve = resolve;
    });
  }

  /** Ends a wait there may be, and lets go of everything. */
  close(): void {
    this.#options.abort.removeEventListener("abort", this.#onAbort);
    clearTimeout(this.#timer);
    this.#timer = undefined;
    this.#finish("aborted");
  }

  readonly #onChange = (): void => this.#finish("changed");

  readonly #onAbort = (): void => this.close();

  readonly #onTimer = (): void => {
    this.#timer = undefined;
    if (this.#resolve === undefined) return;
    if (performance.now() >= this.#dueMs) this.#finish("timeout");
    else this.#arm();
  };

  #arm(): void {
    if (this.#timer !== undefined && this.#timerDueMs <= this.#dueMs) return;
    clearTimeout(this.#timer);
    this.#timerDueMs = this.#dueMs;
    this.#timer = setTimeout(this.#onTimer, Math.min(this.#dueMs - performance.now(), maxTimeoutMs));
  }

  #finish(outcome: WaitOutcome): void {
    this.#leave?.();
    this.#leave = undefined;
    const resolve = this.#resolve;
    this.#resolve = undefined;
    resolve?.(outcome);
  }
}
