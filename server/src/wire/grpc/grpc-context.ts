import type { IncomingHttpHeaders } from "node:http2";
import type { DescMethod, DescService } from "@bufbuild/protobuf";
import { type ContextValues, createContextValues, type HandlerContext } from "@connectrpc/connect";
import { webHeaders } from "../universal-request.js";
import type { GrpcCall } from "./grpc-call.js";

/** What a context is made of. */
export interface GrpcContextOptions {
  readonly method: DescMethod;
  readonly headers: IncomingHttpHeaders;
  readonly call: GrpcCall;
  /** How long the call may take from now on; undefined when it has forever. */
  readonly timeoutMs: number | undefined;
}

/** What an interceptor may have put in the place of what came. */
export interface ContextChanges {
  readonly signal: AbortSignal;
  readonly header: Headers;
  readonly contextValues: ContextValues;
}

/** What a service is told of its call. Made as it is asked for: most calls ask for nothing. */
export class GrpcContext implements HandlerContext {
  readonly #options: GrpcContextOptions;
  readonly #startedMs = performance.now();
  readonly #signal: AbortSignal | undefined;
  #requestHeader: Headers | undefined;
  #values: ContextValues | undefined;

  constructor(options: GrpcContextOptions, changes?: ContextChanges) {
    this.#options = options;
    this.#signal = changes?.signal;
    this.#requestHeader = changes?.header;
    this.#values = changes?.contextValues;
  }

  /** The same call with what an interceptor has changed. */
  changed(changes: ContextChanges): GrpcContext {
    return new GrpcContext(this.#options, changes);
  }

  get method(): DescMethod {
    return this.#options.method;
  }

  get service(): DescService {
    return this.#options.method.parent;
  }

  get signal(): AbortSignal {
    return this.#signal ?? this.#options.call.signal;
  }

  get timeoutMs(): () => number | undefined {
    const { timeoutMs } = this.#options;
    return () => (timeoutMs === undefined ? undefined : this.#startedMs + timeoutMs - performance.now());
  }

  get requestMethod(): string {
    return "POST";
  }

  get protocolName(): string {
    return "grpc";
  }

  get url(): string {
    // As for the other protocols: only the path is of use.
    return `http://localhost${this.#options.call.path}`;
  }

  get requestHeader(): Headers {
    this.#requestHeader ??= webHeaders(this.#options.headers);
    return this.#requestHeader;
  }

  get responseHeader(): Headers {
    return this.#options.call.response.header;
  }

  get responseTrailer(): Headers {
    return this.#options.call.response.trailer;
  }

  get values(): ContextValues {
    this.#values ??= createContextValues();
    return this.#values;
  }
}
