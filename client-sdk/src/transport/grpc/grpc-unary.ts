import {
  create,
  type DescMessage,
  type DescMethodUnary,
  fromBinary,
  isMessage,
  type MessageShape,
  toBinary,
} from "@bufbuild/protobuf";
import type { Transport, UnaryResponse } from "@connectrpc/connect";
import { createMethodUrl } from "@connectrpc/connect/protocol";
import type { SessionManager } from "../session-manager.js";
import type { AttemptEvents, UnaryCalls, UnaryRequest } from "../unary-calls.js";
import { GrpcUnaryCall, type GrpcUnaryTarget, promisedCall } from "./grpc-unary-call.js";

/**
 * Makes unary calls on streams of the connection: the library's chain of asynchronous iterables costs a client several times what
 * the call does.
 */
export class GrpcUnaryCalls implements UnaryCalls {
  readonly #baseUrl: string;
  readonly #connection: SessionManager;
  readonly #targets = new Map<DescMethodUnary, GrpcUnaryTarget<unknown>>();

  constructor(baseUrl: string, connection: SessionManager) {
    this.#baseUrl = baseUrl;
    this.#connection = connection;
  }

  begin<I extends DescMessage, O extends DescMessage>(
    { method, input, timeoutMs }: UnaryRequest<I, O>,
    events: AttemptEvents<MessageShape<O>>,
  ): GrpcUnaryCall<MessageShape<O>> {
    const message = isMessage(input, method.input) ? input : create(method.input, input);
    const request = { bytes: toBinary(method.input, message), timeoutMs };
    return new GrpcUnaryCall(this.#targetOf(method), request, events);
  }

  #targetOf<O extends DescMessage>(method: DescMethodUnary<DescMessage, O>): GrpcUnaryTarget<MessageShape<O>> {
    const known = this.#targets.get(method);
    if (known !== undefined) return known as GrpcUnaryTarget<MessageShape<O>>;
    const path = new URL(createMethodUrl(this.#baseUrl, method)).pathname;
    const decode = (bytes: Buffer) => fromBinary(method.output, bytes);
    const target = { connection: this.#connection, path, decode };
    this.#targets.set(method, target);
    return target;
  }
}

/** A transport whose unary calls are made so. Calls with headers of their own, and streams, stay with the library. */
export function withGrpcUnary(library: Transport, calls: GrpcUnaryCalls): Transport {
  return {
    unary: <I extends DescMessage, O extends DescMessage>(
      ...[method, signal, timeoutMs, header, input, contextValues]: Parameters<typeof library.unary<I, O>>
    ) =>
      header === undefined
        ? promisedCall(
            (events: AttemptEvents<MessageShape<O>>) => calls.begin({ method, input, timeoutMs }, events),
            signal,
            (message, call) => responseOf(method, message, call),
          )
        : library.unary(method, signal, timeoutMs, header, input, contextValues),
    stream: (...call) => library.stream(...call),
  };
}

function responseOf<I extends DescMessage, O extends DescMessage>(
  method: DescMethodUnary<I, O>,
  message: MessageShape<O>,
  call: GrpcUnaryCall<MessageShape<O>>,
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
