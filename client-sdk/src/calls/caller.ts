import { CancelledError, type CoordinationClientError } from "../errors/coordination-client-error.js";
import { errorFromConnect } from "../errors/error-from-connect.js";
import type { Clock } from "../time/clock.js";
import { type LinkedAbort, linkAbort } from "../time/linked-abort.js";
import { sleep } from "../time/sleep.js";
import { type RetryPolicy, retryDelayMs } from "./retry-policy.js";

/** What one attempt is given; passed on to Connect's call. */
export interface Attempt {
  readonly signal: AbortSignal;
  readonly timeoutMs: number;
  /** 1 for the first attempt. */
  readonly number: number;
}

/** What every unary call takes. */
export interface CallOptions {
  /** Gives up: the call rejects with CancelledError. */
  readonly signal?: AbortSignal | undefined;
  /** How long one attempt may take, in milliseconds. Default: the client's `callTimeoutMs`. */
  readonly timeoutMs?: number | undefined;
}

/** How calls behave that say nothing else. */
export interface CallerOptions {
  readonly retry: RetryPolicy;
  /** How long one attempt may take, in milliseconds. */
  readonly timeoutMs: number;
  readonly clock: Clock;
  /** Aborted with a CancelledError when the client is closed. */
  readonly closed: AbortSignal;
}

/** Makes idempotent unary calls: with a timeout, repeated where the contract allows it, failing with this package's errors. */
export class Caller {
  readonly #options: CallerOptions;
  readonly #open = new Set<LinkedAbort>();

  constructor(options: CallerOptions) {
    this.#options = options;
    const { closed } = options;
    // One listener for all calls: Node takes many on one signal for a leak.
    closed.addEventListener("abort", () => {
      for (const call of [...this.#open]) call.abort(closed.reason);
    });
  }

  /** Runs a call until it succeeds or must not be repeated. */
  call<T>(run: (attempt: Attempt) => Promise<T>, options: CallOptions = {}): Promise<T> {
    return this.#limited(run, options, this.#options.retry);
  }

  /**
   * Runs a call that waits for something at the server: repeated as long as that takes, and not only as often as calls are that
   * should be answered at once. It is told with `signal`, not with `timeoutMs`, when one attempt has taken too long.
   */
  callFor<T>(
    run: (attempt: Attempt) => Promise<T>,
    totalMs: number,
    { signal }: Pick<CallOptions, "signal">,
  ): Promise<T> {
    const { retry } = this.#options;
    const maxAttempts = retry.maxAttempts === 1 ? 1 : Number.MAX_SAFE_INTEGER;
    return this.#limited(run, { signal }, { ...retry, maxAttempts, maxElapsedMs: totalMs });
  }

  /** Runs a call that is not idempotent: when its answer is lost, the caller has to find out what became of it. */
  callOnce<T>(run: (attempt: Attempt) => Promise<T>, options: CallOptions = {}): Promise<T> {
    return this.#limited(run, options, { ...this.#options.retry, maxAttempts: 1 });
  }

  async #limited<T>(run: (attempt: Attempt) => Promise<T>, options: CallOptions, retry: RetryPolicy): Promise<T> {
    const abort = linkAbort(options.signal);
    if (this.#options.closed.aborted) abort.abort(this.#options.closed.reason);
    this.#open.add(abort);
    const limits = { signal: abort.signal, timeoutMs: options.timeoutMs ?? this.#options.timeoutMs };
    try {
      return await this.#repeat(run, limits, retry);
    } finally {
      this.#open.delete(abort);
      abort.release();
    }
  }

  async #repeat<T>(
    run: (attempt: Attempt) => Promise<T>,
    limits: Omit<Attempt, "number">,
    retry: RetryPolicy,
  ): Promise<T> {
    const { clock } = this.#options;
    const { signal } = limits;
    const startMs = clock.nowMs();
    for (let number = 1; ; number += 1) {
      if (signal.aborted) throw cancelledError(signal);
      try {
        return await run({ ...limits, number });
      } catch (thrown) {
        if (signal.aborted) throw cancelledError(signal);
        const error = errorFromConnect(thrown);
        const state = { attempts: number, elapsedMs: clock.nowMs() - startMs };
        await this.#waitBeforeNext(retryDelayMs(retry, error, state, clock.random()), error, signal);
      }
    }
  }

  async #waitBeforeNext(
    delayMs: number | undefined,
    error: CoordinationClientError,
    signal: AbortSignal,
  ): Promise<void> {
    if (delayMs === undefined) throw error;
    if (delayMs === 0) return;
    try {
      await sleep(this.#options.clock, delayMs, signal);
    } catch {
      throw cancelledError(signal);
    }
  }
}

/** Makes the error of a call whose signal was aborted. Closing the client aborts with an error that says so. */
export function cancelledError(signal: AbortSignal): CancelledError {
  const reason: unknown = signal.reason;
  if (reason instanceof CancelledError) return reason;
  return new CancelledError({
    message: "cancelled by the caller",
    reason: "CANCELLED",
    code: "CANCELLED",
    cause: reason,
  });
}

/** Makes the error of everything that is pending, or is begun, once the client is closed. */
export function clientClosedError(): CancelledError {
  return new CancelledError({ message: "the client is closed", reason: "CLIENT_CLOSED", code: "CANCELLED" });
}
