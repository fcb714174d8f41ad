import { create, type DescMessage, type DescMethodUnary, fromBinary, isMessage, toBinary } from "@bufbuild/protobuf";
import { Code, ConnectError, type Transport, type UnaryResponse } from "@connectrpc/connect";
import { createMethodUrl } from "@connectrpc/connect/protocol";
import { SignalService } from "@coordination-signals/proto/coordination/v1/signal_service";
import { maxRequestBytes } from "../client-transport.js";
import { decodeHistoryPage } from "../fast-decoding.js";
import type { SessionManager } from "../session-manager.js";
import { grpcFrame } from "./grpc-frame.js";
import { type GrpcDeadline, GrpcStream } from "./grpc-stream.js";

/** The longest time a timer can be set to, in milliseconds. */
const maxTimerMs = 2 ** 31 - 1;
/** gRPC writes a timeout with at most eight digits. */
const maxTimeoutDigits = 8;

/**
 * A transport that makes unary calls itself, on streams of the connection: the library's chain of asynchronous iterables costs a
 * client several times what the call does. Calls with headers of their own, and streams, stay with the library.
 */
export function withGrpcUnary(library: Transport, baseUrl: string, connection: SessionManager): Transport {
  const paths = new Map<DescMethodUnary, string>();
  const pathOf = (method: DescMethodUnary): string => {
    let path = paths.get(method);
    if (path === undefined) {
      path = new URL(createMethodUrl(baseUrl, method)).pathname;
      paths.set(method, path);
    }
    return path;
  };
  return {
    unary: (method, signal, timeoutMs, header, input, contextValues) => {
      if (header !== undefined) return library.unary(method, signal, timeoutMs, header, input, contextValues);
      const message = isMessage(input, method.input) ? input : create(method.input, input);
      return new Promise((resolve, reject) => {
        const target = { connection, path: pathOf(method) };
        new UnaryCall({ target, method, signal, timeoutMs, resolve, reject }).begin(encode(method.input, message));
      });
    },
    stream: (...call) => library.stream(...call),
  };
}

interface UnaryCallOptions<I extends DescMessage, O extends DescMessage> {
  readonly target: { readonly connection: SessionManager; readonly path: string };
  readonly method: DescMethodUnary<I, O>;
  readonly signal: AbortSignal | undefined;
  readonly timeoutMs: number | undefined;
  readonly resolve: (response: UnaryResponse<I, O>) => void;
  readonly reject: (thrown: unknown) => void;
}

/** One call until it is answered, failed, given up or out of time. */
class UnaryCall<I extends DescMessage, O extends DescMessage> {
  readonly #options: UnaryCallOptions<I, O>;
  #stream: GrpcStream | undefined;
  #timer: NodeJS.Timeout | undefined;
  #answer: Buffer | undefined;
  #isOver = false;

  constructor(options: UnaryCallOptions<I, O>) {
    this.#options = options;
  }

  begin(request: Uint8Array): void {
    const { target, signal, timeoutMs } = this.#options;
    if (signal?.aborted) {
      this.#fail(abortError(signal));
      return;
    }
    signal?.addEventListener("abort", this.#onAbort);
    const hasDeadline = timeoutMs !== undefined && timeoutMs > 0;
    if (hasDeadline) this.#timer = setTimeout(this.#onTimeout, Math.min(timeoutMs, maxTimerMs));
    const events = { onMessage: this.#onMessage, onEnd: this.#onEnd };
    this.#stream = new GrpcStream(target, events, hasDeadline ? deadlineAfter(timeoutMs) : undefined);
    this.#stream.write(grpcFrame(request));
    this.#stream.finish();
  }

  readonly #onMessage = (message: Buffer): void => {
    if (this.#answer !== undefined) this.#giveUp(new ConnectError("received more than one answer", Code.Unimplemented));
    else this.#answer = message;
  };

  readonly #onEnd = (thrown: unknown): void => {
    const answer = this.#answer;
    if (thrown !== undefined) this.#fail(thrown);
    else if (answer === undefined) this.#fail(new ConnectError("received no answer", Code.Unimplemented));
    else this.#take(answer);
  };

  readonly #onTimeout = (): void => this.#giveUp(new ConnectError("the operation timed out.", Code.DeadlineExceeded));

  readonly #onAbort = (): void => {
    const { signal } = this.#options;
    if (signal !== undefined) this.#giveUp(abortError(signal));
  };

  #giveUp(error: ConnectError): void {
    if (this.#isOver) return;
    this.#stream?.cancel();
    this.#fail(error);
  }

  #take(answer: Buffer): void {
    try {
      this.#succeed(decode(this.#options.method, answer));
    } catch (error) {
      this.#fail(ConnectError.from(error, Code.InvalidArgument));
    }
  }

  #succeed(message: UnaryResponse<I, O>["message"]): void {
    const { method, resolve } = this.#options;
    const stream = this.#stream;
    this.#release();
    resolve({
      stream: false,
      service: method.parent,
      method,
      message,
      // Made when they are asked for, which is seldom.
      get header() {
        return stream?.header ?? new Headers();
      },
      get trailer() {
        return stream?.trailer ?? new Headers();
      },
    });
  }

  #fail(thrown: unknown): void {
    this.#release();
    this.#options.reject(thrown);
  }

  #release(): void {
    this.#isOver = true;
    clearTimeout(this.#timer);
    this.#options.signal?.removeEventListener("abort", this.#onAbort);
  }
}

function encode<I extends DescMessage>(schema: I, message: Parameters<typeof toBinary<I>>[1]): Uint8Array {
  const bytes = toBinary(schema, message);
  if (bytes.length <= maxRequestBytes) return bytes;
  const text = `message is ${bytes.length} bytes, limit is ${maxRequestBytes}`;
  throw new ConnectError(text, Code.ResourceExhausted);
}

function decode<O extends DescMessage>(
  method: DescMethodUnary<DescMessage, O>,
  bytes: Uint8Array,
): UnaryResponse<DescMessage, O>["message"] {
  if (method === (SignalService.method.getSignalHistory as DescMethodUnary)) {
    return decodeHistoryPage(bytes) as unknown as UnaryResponse<DescMessage, O>["message"];
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
