/**
 * What interceptors are handed for a call and its answer. Headers, trailers, signal and values are made when they are asked
 * for, which most calls never do. They are properties of the object itself, so that a copy by spreading has them; the
 * descriptors are shared, because an accessor of its own would cost each object a microsecond.
 */
import type { DescMethod, DescService, Message } from "@bufbuild/protobuf";
import type { ContextValues } from "@connectrpc/connect";
import type { GrpcContext } from "./grpc-context.js";

const context = Symbol("context");

interface WithContext {
  readonly [context]: GrpcContext;
}

const requestAccessors = {
  signal: accessor((of) => of.signal),
  header: accessor((of) => of.requestHeader),
  contextValues: accessor((of) => of.values),
};

const responseAccessors = {
  header: accessor((of) => of.responseHeader),
  trailer: accessor((of) => of.responseTrailer),
};

/** A request as interceptors get it. */
export class CallRequest<M extends Message | AsyncIterable<Message>, S extends boolean> {
  readonly stream: S;
  readonly message: M;
  readonly method: DescMethod;
  readonly service: DescService;
  readonly requestMethod = "POST";
  readonly url: string;
  declare readonly signal: AbortSignal;
  declare readonly header: Headers;
  declare readonly contextValues: ContextValues;
  readonly [context]: GrpcContext;

  constructor(of: GrpcContext, stream: S, message: M) {
    this.stream = stream;
    this.message = message;
    this.method = of.method;
    this.service = of.service;
    this.url = of.url;
    this[context] = of;
    Object.defineProperty(this, "signal", requestAccessors.signal);
    Object.defineProperty(this, "header", requestAccessors.header);
    Object.defineProperty(this, "contextValues", requestAccessors.contextValues);
  }
}

/** A response as interceptors get it. */
export class CallResponse<M extends Message | AsyncIterable<Message>, S extends boolean> {
  readonly stream: S;
  readonly message: M;
  readonly method: DescMethod;
  readonly service: DescService;
  declare readonly header: Headers;
  declare readonly trailer: Headers;
  readonly [context]: GrpcContext;

  constructor(of: GrpcContext, stream: S, message: M) {
    this.stream = stream;
    this.message = message;
    this.method = of.method;
    this.service = of.service;
    this[context] = of;
    Object.defineProperty(this, "header", responseAccessors.header);
    Object.defineProperty(this, "trailer", responseAccessors.trailer);
  }
}

function accessor<T>(read: (of: GrpcContext) => T): PropertyDescriptor & ThisType<WithContext> {
  return {
    enumerable: true,
    configurable: true,
    get() {
      return read(this[context]);
    },
  };
}
