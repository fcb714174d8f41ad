import { cancelledError, clientClosedError } from "../errors/cancelled-error.js";
import type { CoordinationClientError } from "../errors/coordination-client-error.js";
import { errorFromConnect } from "../errors/error-from-connect.js";
import type { OpenResource, OpenResources } from "../open-resources.js";
import type { CancelTimer, Clock } from "../time/clock.js";
import type { AttemptEvents, OpenAttempt } from "../transport/unary-calls.js";
import { type RetryPolicy, retryDelayMs } from "./retry-policy.js";

/** What calls are made with. */
export interface CallEnvironment {
  readonly clock: Clock;
  /** Knows the call until it is settled, and gives it up when it is closed. */
  readonly open: OpenResources;
}

/**
 * One call until it succeeds, must not be repeated, or is given up. It is all that is kept while the call is open, beside the
 * attempt under way and the promise of whoever waits: no function waits for another, and nobody listens to a signal that was not given.
 */
export abstract class RepeatedCall<Answer, Result> implements AttemptEvents<Answer>, OpenResource {
  readonly #environment: CallEnvironment;
  #resolve: ((result: Result) => void) | undefined;
  #reject: ((error: unknown) => void) | undefined;
  #attempt: OpenAttempt | undefined;
  #attempts = 0;
  #startMs = 0;
  #cancelPause: CancelTimer | undefined;
  #stopListening: (() => void) | undefined;
  #isOver = false;

  constructor(environment: CallEnvironment) {
    this.#environment = environment;
  }

  /**
   * Runs the call, once. It begins now, or after a promise that never rejects. Rejects with CancelledError as soon as the signal is
   * aborted.
   */
  run(signal: AbortSignal | undefined, after?: Promise<void>): Promise<Result> {
    return new Promise((resolve, reject) => {
      if (signal?.aborted) throw cancelledError(signal);
      this.#resolve = resolve;
      this.#reject = reject;
      this.#environment.open.add(this);
      if (signal !== undefined) this.#listenTo(signal);
      if (after === undefined) this.#begin();
      else void after.then(() => this.#begin());
    });
  }

  /** Gives the call up because its client, or session, is closed. */
  async close(): Promise<void> {
    const error = clientClosedError();
    this.#giveUp(error, error);
  }

  answered(answer: Answer): void {
    let result: Result;
    try {
      result = this.resultOf(answer);
    } catch (thrown) {
      this.#fail(thrown);
      return;
    }
    this.#release();
    this.#resolve?.(result);
  }

  failed(thrown: unknown): void {
    const { clock } = this.#environment;
    this.#attempt = undefined;
    const error = errorFromConnect(thrown);
    const state = { attempts: this.#attempts, elapsedMs: this.#elapsedMs() };
    const delayMs = retryDelayMs(this.retryPolicy, error, state, clock.random());
    if (delayMs === undefined) this.#fail(error);
    else if (delayMs === 0) this.#begin();
    else this.#cancelPause = clock.startTimer(delayMs, () => this.#begin());
  }

  /** How the call is repeated. */
  protected abstract get retryPolicy(): RetryPolicy;

  /** Begins an attempt, so many milliseconds after the first one began. Its number is 1 for the first. */
  protected abstract beginAttempt(number: number, elapsedMs: number): OpenAttempt;

  /** Reads the answer. What it throws is not a reason to repeat the call. */
  protected abstract resultOf(answer: Answer): Result;

  #listenTo(signal: AbortSignal): void {
    const onAbort = () => this.#giveUp(cancelledError(signal), signal.reason);
    signal.addEventListener("abort", onAbort, { once: true });
    this.#stopListening = () => signal.removeEventListener("abort", onAbort);
  }

  #begin(): void {
    this.#cancelPause = undefined;
    if (this.#isOver) return;
    if (this.#attempts === 0) this.#startMs = this.#environment.clock.nowMs();
    this.#attempts += 1;
    try {
      const attempt = this.beginAttempt(this.#attempts, this.#elapsedMs());
      // Whoever is called in between, an interceptor for example, may have given it up.
      if (this.#isOver) attempt.cancel(undefined);
      else this.#attempt = attempt;
    } catch (thrown) {
      this.failed(thrown);
    }
  }

  #elapsedMs(): number {
    return this.#environment.clock.nowMs() - this.#startMs;
  }

  #giveUp(error: CoordinationClientError, reason: unknown): void {
    if (this.#isOver) return;
    this.#attempt?.cancel(reason);
    this.#cancelPause?.();
    this.#fail(error);
  }

  #fail(error: unknown): void {
    this.#release();
    this.#reject?.(error);
  }

  #release(): void {
    this.#isOver = true;
    this.#attempt = undefined;
    this.#stopListening?.();
    this.#environment.open.remove(this);
  }
}
