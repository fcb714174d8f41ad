import { Code, ConnectError } from "@connectrpc/connect";
import { maxRequestBytes } from "../client-transport.js";
import type { AttemptEvents, OpenAttempt } from "../unary-calls.js";
import { grpcFrame } from "./grpc-frame.js";
import { type GrpcDeadline, GrpcStream, type GrpcStreamEvents, type GrpcStreamTarget } from "./grpc-stream.js";

/** The longest time a timer can be set to, in milliseconds. */
const maxTimerMs = 2 ** 31 - 1;
/** gRPC writes a timeout with at most eight digits. */
const maxTimeoutDigits = 8;

/** Where a kind of call goes, and what becomes of its answer. */
export interface GrpcUnaryTarget<Answer> extends GrpcStreamTarget {
  /** Makes the answer of its bytes, which it may keep. What it throws fails the call. */
  readonly decode: (bytes: Buffer) => Answer;
}

/** What is asked in one call. */
export interface GrpcUnaryRequest {
  /** The encoded message. */
  readonly bytes: Uint8Array;
  /** How long it may take, in milliseconds; without end when it is undefined or 0. */
  readonly timeoutMs: number | undefined;
}

/** One call until it is answered, failed, given up or out of time. */
export class GrpcUnaryCall<Answer> implements OpenAttempt, GrpcStreamEvents {
  readonly #target: GrpcUnaryTarget<Answer>;
  readonly #events: AttemptEvents<Answer>;
  readonly #stream: GrpcStream;
  readonly #timer: NodeJS.Timeout | undefined;
  #answer: Buffer | undefined;

  /** Throws ConnectError for a request that is larger than the server takes. */
  constructor(target: GrpcUnaryTarget<Answer>, { bytes, timeoutMs }: GrpcUnaryRequest, events: AttemptEvents<Answer>) {
    if (bytes.length > maxRequestBytes) throw tooLarge(bytes.length);
    this.#target = target;
    this.#events = events;
    const hasDeadline = timeoutMs !== undefined && timeoutMs > 0;
    if (hasDeadline) this.#timer = setTimeout(() => this.#timedOut(), Math.min(timeoutMs, maxTimerMs));
    this.#stream = new GrpcStream(target, this, hasDeadline ? deadlineAfter(timeoutMs) : undefined);
    this.#stream.write(grpcFrame(bytes));
    this.#stream.finish();
  }

  get header(): Headers {
    return this.#stream.header;
  }

  get trailer(): Headers {
    return this.#stream.trailer;
  }

  cancel(): void {
    clearTimeout(this.#timer);
    this.#stream.cancel();
  }

  onMessage(message: Buffer): void {
    if (this.#answer === undefined) this.#answer = message;
    else this.#giveUp(new ConnectError("received more than one answer", Code.Unimplemented));
  }

  onEnd(thrown: unknown): void {
    clearTimeout(this.#timer);
    const answer = this.#answer;
    if (thrown !== undefined) this.#events.failed(thrown);
    else if (answer === undefined) this.#events.failed(new ConnectError("received no answer", Code.Unimplemented));
    else this.#take(answer);
  }

  #timedOut(): void {
    this.#giveUp(new ConnectError("the operation timed out.", Code.DeadlineExceeded));
  }

  #giveUp(error: ConnectError): void {
    this.cancel();
    this.#events.failed(error);
  }

  #take(bytes: Buffer): void {
    let answer: Answer;
    try {
      answer = this.#target.decode(bytes);
    } catch (error) {
      this.#events.failed(ConnectError.from(error, Code.InvalidArgument));
      return;
    }
    this.#events.answered(answer);
  }
}

/** Promises what becomes of a call, which the signal gives up. Rejects with ConnectError. */
export function promisedCall<Call extends OpenAttempt, Answer, Result>(
  begin: (events: AttemptEvents<Answer>) => Call,
  signal: AbortSignal | undefined,
  toResult: (answer: Answer, call: Call) => Result,
): Promise<Result> {
  return new Promise((resolve, reject) => {
    if (signal?.aborted) throw abortError(signal);
    const release = () => signal?.removeEventListener("abort", onAbort);
    const call = begin({
      answered: (answer) => {
        release();
        resolve(toResult(answer, call));
      },
      failed: (thrown) => {
        release();
        reject(thrown);
      },
    });
    const onAbort = () => {
      call.cancel(undefined);
      if (signal !== undefined) reject(abortError(signal));
    };
    signal?.addEventListener("abort", onAbort, { once: true });
  });
}

function tooLarge(bytes: number): ConnectError {
  return new ConnectError(`message is ${bytes} bytes, limit is ${maxRequestBytes}`, Code.ResourceExhausted);
}

function deadlineAfter(timeoutMs: number): GrpcDeadline {
  const whole = String(Math.ceil(timeoutMs));
  return { "grpc-timeout": whole.length <= maxTimeoutDigits ? `${whole}m` : `${Math.ceil(timeoutMs / 1_000)}S` };
}

function abortError({ reason }: AbortSignal): ConnectError {
  return ConnectError.from(reason, Code.Canceled);
}
