import type { Registry } from "@bufbuild/protobuf";
import { type ConnectRouter, createConnectRouter, type Interceptor } from "@connectrpc/connect";
import type { UniversalHandler, UniversalServerResponse } from "@connectrpc/connect/protocol";
import { abortCall } from "./abort-call.js";
import { acceptedCompressions } from "./accepted-compressions.js";
import { jsonResponse, withCompleteErrors } from "./error-chunks.js";
import { type HttpRequest, headerOf, pathOf } from "./http-exchange.js";
import type { OpenCall } from "./open-call.js";
import type { PortLimits } from "./port-limits.js";
import type { PortLogger } from "./port-logger.js";
import type { PortObserver } from "./port-observer.js";
import { RequestBody } from "./request-body.js";
import type { RequestMemory } from "./request-memory.js";
import { writeResponse } from "./response-writer.js";
import { universalRequest } from "./universal-request.js";
import { requestTooLarge } from "./wire-refusal.js";

/** What the RPC handler needs. */
export interface RpcHandlerOptions {
  readonly routes: (router: ConnectRouter) => void;
  readonly interceptors: readonly Interceptor[];
  /** Types that answers in JSON may carry in a `google.protobuf.Any`. */
  readonly messageTypes: Registry;
  readonly limits: PortLimits;
  readonly memory: RequestMemory;
  readonly observer: PortObserver;
  readonly logger: PortLogger;
}

/** Messages below this many bytes are sent as they are: no message reaches it, so that no answer is compressed. */
const neverCompressed = 0xffff_ffff;

/** Serves the RPCs of a router in gRPC, gRPC-Web and Connect over either version of HTTP. */
export class RpcHandler {
  readonly #options: RpcHandlerOptions;
  readonly #handlers: ReadonlyMap<string, UniversalHandler>;

  constructor(options: RpcHandlerOptions) {
    const { limits, interceptors, routes, messageTypes } = options;
    this.#options = options;
    const router = createConnectRouter({
      interceptors: [...interceptors],
      acceptCompression: [...acceptedCompressions],
      compressMinBytes: neverCompressed,
      readMaxBytes: limits.maxRequestBytes,
      writeMaxBytes: limits.maxResponseBytes,
      maxTimeoutMs: limits.maxCallTimeMs,
      // A field with a typing error is told, not ignored.
      jsonOptions: { ignoreUnknownFields: false, registry: messageTypes },
    });
    routes(router);
    this.#handlers = new Map(router.handlers.map((handler) => [handler.requestPath, handler]));
  }

  /** Whether an RPC has this path. */
  has(path: string): boolean {
    return this.#handlers.has(path);
  }

  /** Serves one call; resolves when its response is written or its client gone. Never rejects. */
  async serve(call: OpenCall): Promise<void> {
    const handler = this.#handlers.get(pathOf(call.request));
    if (handler === undefined) return;
    const body = this.#bodyOf(call.request);
    if (!isRequestStream(handler)) call.expectBody(body);
    try {
      const response = await this.#respond(handler, call, body);
      await writeResponse(response, call, this.#options.observer);
    } catch (error) {
      if (!call.closed) abortCall(call, error, this.#options.logger);
    } finally {
      call.answered();
      body.discard();
    }
  }

  #bodyOf(request: HttpRequest): RequestBody {
    const type = headerOf(request, "content-type");
    const enveloped = type.startsWith("application/grpc") || type.startsWith("application/connect+");
    const { maxRequestBytes } = this.#options.limits;
    const body = new RequestBody(request, {
      enveloped,
      maxMessageBytes: maxRequestBytes,
      memory: this.#options.memory,
      onRefused: (reason) => this.#options.observer.callRefused?.(reason),
    });
    const announced = Number(headerOf(request, "content-length"));
    if (!enveloped && announced > maxRequestBytes) body.fail(requestTooLarge(announced, maxRequestBytes));
    return body;
  }

  async #respond(handler: UniversalHandler, call: OpenCall, body: RequestBody): Promise<UniversalServerResponse> {
    const response = await handler(universalRequest(call, body, this.#options.limits.maxCallTimeMs));
    if (response.body === undefined && response.status >= 400) return refusal(response, call.request, handler);
    return withCompleteErrors(response, (reason) => this.#options.observer.callRefused?.(reason));
  }
}

function isRequestStream({ method }: UniversalHandler): boolean {
  return method.methodKind === "client_streaming" || method.methodKind === "bidi_streaming";
}

/** Says in words what the protocol library says with a bare status. */
function refusal(
  bare: UniversalServerResponse,
  request: HttpRequest,
  handler: UniversalHandler,
): UniversalServerResponse {
  const method = request.method ?? "";
  const type = headerOf(request, "content-type");
  const allowed = handler.allowedMethods.filter((name, index, all) => all.indexOf(name) === index).join(", ");
  switch (bare.status) {
    case 405:
      return jsonResponse(
        405,
        { code: "unimplemented", message: `method ${method} is not allowed, use ${allowed}` },
        { allow: allowed },
      );
    case 415:
      return jsonResponse(415, {
        code: "invalid_argument",
        message: `content-type "${type}" is not served, use application/json, application/proto or application/grpc`,
      });
    case 505:
      return jsonResponse(
        505,
        { code: "unimplemented", message: "streams in both directions need HTTP/2" },
        bare.header,
      );
    default:
      return bare;
  }
}
