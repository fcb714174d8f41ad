import type { DescMessage, DescMethodUnary, MessageInitShape, MessageShape } from "@bufbuild/protobuf";
import type { OpenAttempt, UnaryCalls } from "../transport/unary-calls.js";
import { type CallEnvironment, RepeatedCall } from "./repeated-call.js";
import type { RetryPolicy } from "./retry-policy.js";

/** What calls that wait for something at the server are made with. */
export interface LongCallEnvironment extends CallEnvironment {
  readonly calls: UnaryCalls;
  readonly retry: RetryPolicy;
}

/** What is asked, and how long it may take altogether. */
export interface LongCallPlan<I extends DescMessage, O extends DescMessage, Result> {
  readonly method: DescMethodUnary<I, O>;
  /** Makes the request of an attempt that waits so long, in whole milliseconds: gRPC knows no fractions of them. */
  readonly requestFor: (restMs: number) => MessageInitShape<I>;
  /** Reads the answer. */
  readonly resultOf: (answer: MessageShape<O>) => Result;
  /** How long the server waits, all attempts together, in milliseconds. */
  readonly timeoutMs: number;
}

/** What the server's own answer to a timeout may take to come here. */
const answerGraceMs = 10_000;

/**
 * A call that waits for something at the server: repeated as long as that takes, and not only as often as calls are that should be
 * answered at once. What has happened between two attempts the server knows, so that only the rest of the time is waited for.
 */
export class LongCall<I extends DescMessage, O extends DescMessage, Result> extends RepeatedCall<
  MessageShape<O>,
  Result
> {
  readonly #environment: LongCallEnvironment;
  readonly #plan: LongCallPlan<I, O, Result>;

  constructor(environment: LongCallEnvironment, plan: LongCallPlan<I, O, Result>) {
    super(environment);
    this.#environment = environment;
    this.#plan = plan;
  }

  protected override get retryPolicy(): RetryPolicy {
    const { retry } = this.#environment;
    const maxAttempts = retry.maxAttempts === 1 ? 1 : Number.MAX_SAFE_INTEGER;
    return { ...retry, maxAttempts, maxElapsedMs: this.#plan.timeoutMs };
  }

  protected override beginAttempt(_number: number, elapsedMs: number): OpenAttempt {
    const { method, requestFor, timeoutMs } = this.#plan;
    const restMs = Math.max(1, Math.ceil(timeoutMs - elapsedMs));
    return this.#environment.calls.begin(
      { method, input: requestFor(restMs), timeoutMs: restMs + answerGraceMs },
      this,
    );
  }

  protected override resultOf(answer: MessageShape<O>): Result {
    return this.#plan.resultOf(answer);
  }
}
