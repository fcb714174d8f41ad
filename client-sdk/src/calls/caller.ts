import { OpenResources } from "../open-resources.js";
import { checkNumber, timeoutRule } from "../options/check-number.js";
import type { Clock } from "../time/clock.js";
import { type OpenAttempt, promisedAttempt } from "../transport/unary-calls.js";
import { type CallEnvironment, RepeatedCall } from "./repeated-call.js";
import type { RetryPolicy } from "./retry-policy.js";

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
  readonly #environment: CallEnvironment;

  constructor(options: CallerOptions) {
    const { clock, closed } = options;
    const open = new OpenResources();
    this.#options = options;
    this.#environment = { clock, open };
    // One listener for all calls: Node takes many on one signal for a leak.
    closed.addEventListener("abort", () => void open.close());
  }

  /** Runs a call until it succeeds or must not be repeated. */
  call<T>(run: (attempt: Attempt) => Promise<T>, options: CallOptions = {}): Promise<T> {
    return this.#run(run, options, this.#options.retry);
  }

  /** Runs a call that is not idempotent: when its answer is lost, the caller has to find out what became of it. */
  callOnce<T>(run: (attempt: Attempt) => Promise<T>, options: CallOptions = {}): Promise<T> {
    return this.#run(run, options, { ...this.#options.retry, maxAttempts: 1 });
  }

  async #run<T>(run: (attempt: Attempt) => Promise<T>, options: CallOptions, retryPolicy: RetryPolicy): Promise<T> {
    const { closed } = this.#options;
    const { timeoutMs = this.#options.timeoutMs } = options;
    checkNumber("timeoutMs", timeoutMs, timeoutRule);
    const call = new PromisedCall(this.#environment, { run, timeoutMs, retryPolicy });
    return call.run(closed.aborted ? closed : options.signal);
  }
}

interface PromisedCallOptions<T> {
  readonly run: (attempt: Attempt) => Promise<T>;
  readonly timeoutMs: number;
  readonly retryPolicy: RetryPolicy;
}

/** A call whose attempts are promises. */
class PromisedCall<T> extends RepeatedCall<T, T> {
  readonly #options: PromisedCallOptions<T>;

  constructor(environment: CallEnvironment, options: PromisedCallOptions<T>) {
    super(environment);
    this.#options = options;
  }

  protected override get retryPolicy(): RetryPolicy {
    return this.#options.retryPolicy;
  }

  protected override beginAttempt(number: number): OpenAttempt {
    const { run, timeoutMs } = this.#options;
    return promisedAttempt((signal) => run({ signal, timeoutMs, number }), this);
  }

  protected override resultOf(answer: T): T {
    return answer;
  }
}
