import {
  create,
  type DescMessage,
  type DescMethodUnary,
  fromBinary,
  isMessage,
  type MessageShape,
  toBinary,
} from "@bufbuild/protobuf";
import { Code, ConnectError, type Transport, type UnaryResponse } from "@connectrpc/connect";
import { createMethodUrl } from "@connectrpc/connect/protocol";
import { SignalService } from "@coordination-signals/proto/coordination/v1/signal_service";
import { maxRequestBytes } from "../client-transport.js";
import { decodeHistoryPage } from "../fast-decoding.js";
import type { SessionManager } from "../session-manager.js";
import type { AttemptEvents, OpenAttempt, UnaryCalls, UnaryRequest } from "../unary-calls.js";
import { grpcFrame } from "./grpc-frame.js";
import { type GrpcDeadline, GrpcStream, type GrpcStreamEvents, type GrpcStreamTarget } from "./grpc-stream.js";

/** The longest time a timer can be set to, in milliseconds. */
const maxTimerMs = 2 ** 31 - 1;
/** gRPC writes a timeout with at most eight digits. */
const maxTimeoutDigits = 8;

/**
 * Makes unary calls on streams of the connection: the library's chain of asynchronous iterables costs a client several times what
 * the call does.
 */
export class GrpcUnaryCalls implements UnaryCalls {
  readonly #baseUrl: string;
  readonly #connection: SessionManager;
  readonly #targets = new Map<DescMethodUnary, GrpcStreamTarget>();

  constructor(baseUrl: string, connection: SessionManager) {
    this.#baseUrl = baseUrl;
    this.#connection = connection;
  }

  begin<I extends DescMessage, O extends DescMessage>(
    { method, input, timeoutMs }: UnaryRequest<I, O>,
    events: AttemptEvents<MessageShape<O>>,
  ): GrpcUnaryCall<O> {
    const message = isMessage(input, method.input) ? input : create(method.input, input);
    const request = grpcFrame(encode(method.input, message));
    return new GrpcUnaryCall(method, { target: this.#targetOf(method), request, timeoutMs }, events);
  }

  #targetOf(method: DescMethodUnary): GrpcStreamTarget {
    let target = this.#targets.get(method);
    if (target === undefined) {
      const path = new URL(createMethodUrl(this.#baseUrl, method)).pathname;
      target = { connection: this.#connection, path };
      this.#targets.set(method, target);
    }
    return target;
  }
}

/** A transport whose unary calls are made so. Calls with headers of their own, and streams, stay with the library. */
export function withGrpcUnary(library: Transport, calls: GrpcUnaryCalls): Transport {
  return {
    unary: (method, signal, timeoutMs, header, input, contextValues) =>
      header === undefined
        ? promisedCall(calls, { method, input, timeoutMs }, signal)
        : library.unary(method, signal, timeoutMs, header, input, contextValues),
    stream: (...call) => library.stream(...call),
  };
}

function promisedCall<I extends DescMessage, O extends DescMessage>(
  calls: GrpcUnaryCalls,
  request: UnaryRequest<I, O>,
  signal: AbortSignal | undefined,
): Promise<UnaryResponse<I, O>> {
  return new Promise((resolve, reject) => {
    if (signal?.aborted) throw abortError(signal);
    const release = () => signal?.removeEventListener("abort", onAbort);
    const call = calls.begin(request, {
      answered: (message) => {
        release();
        resolve(responseOf(request.method, message, call));
      },
      failed: (thrown) => {
        release();
        reject(thrown);
      },
    });
    const onAbort = () => {
      call.cancel();
      if (signal !== undefined) reject(abortError(signal));
    };
    signal?.addEventListener("abort", onAbort, { once: true });
  });
}

function responseOf<I extends DescMessage, O extends DescMessage>(
  method: DescMethodUnary<I, O>,
  message: MessageShape<O>,
  call: GrpcUnaryCall<O>,
): UnaryResponse<I, O> {
  return {
    stream: false,
    service: method.parent,
    method,
    message,
    // Made when they are asked for, which is seldom.
    get header() {
      return call.header;
    },
    get trailer() {
      return call.trailer;
    },
  };
}

interface GrpcUnaryOptions {
  readonly target: GrpcStreamTarget;
  /** The frame of the request. */
  readonly request: Uint8Array;
  readonly timeoutMs: number | undefined;
}

/** One call until it is answered, failed, given up or out of time. */
class GrpcUnaryCall<O extends DescMessage> implements OpenAttempt, GrpcStreamEvents {
  readonly #method: DescMethodUnary<DescMessage, O>;
  readonly #events: AttemptEvents<MessageShape<O>>;
  readonly #stream: GrpcStream;
  readonly #timer: NodeJS.Timeout | undefined;
  #answer: Buffer | undefined;

  constructor(
    method: DescMethodUnary<DescMessage, O>,
    { target, request, timeoutMs }: GrpcUnaryOptions,
    events: AttemptEvents<MessageShape<O>>,
  ) {
    this.#method = method;
    this.#events = events;
    const hasDeadline = timeoutMs !== undefined && timeoutMs > 0;
    if (hasDeadline) this.#timer = setTimeout(() => this.#timedOut(), Math.min(timeoutMs, maxTimerMs));
    this.#stream = new GrpcStream(target, this, hasDeadline ? deadlineAfter(timeoutMs) : undefined);
    this.#stream.write(request);
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

  #take(answer: Buffer): void {
    let message: MessageShape<O>;
    try {
      message = decode(this.#method, answer);
    } catch (error) {
      this.#events.failed(ConnectError.from(error, Code.InvalidArgument));
      return;
    }
    this.#events.answered(message);
  }
}

function encode<I extends DescMessage>(schema: I, message: Parameters<typeof toBinary<I>>[1]): Uint8Array {
  const bytes = toBinary(schema, message);
  if (bytes.length <= maxRequestBytes) return bytes;
  const text = `message is ${bytes.length} bytes, limit is ${maxRequestBytes}`;
  throw new ConnectError(text, Code.ResourceExhausted);
}

function decode<O extends DescMessage>(method: DescMethodUnary<DescMessage, O>, bytes: Uint8Array): MessageShape<O> {
  if (method === (SignalService.method.getSignalHistory as DescMethodUnary)) {
    return decodeHistoryPage(bytes) as unknown as MessageShape<O>;
  }
  return fromBinary(method.output, bytes);
}

function deadlineAfter(timeoutMs: number): GrpcDeadline {
  const whole = String(Math.ceil(timeoutMs));
  return { "grpc-timeout": whole.length <= maxTimeoutDigits ? `${whole}m` : `${Math.ceil(timeoutMs / 1_000)}S` };
}

function abortError({ reason }: AbortSignal): ConnectError {
  return ConnectError.from(reason, Code.Canceled);
}
