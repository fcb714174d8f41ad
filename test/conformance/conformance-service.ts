/**
 * The service that the conformance suite calls, as its description says: answers what a request asks for, and tells in the
 * answer what arrived. Its contract is read from the suite's own description, so that nothing of it is generated here.
 */
import { setTimeout as sleep } from "node:timers/promises";
import type { DescMessage, DescService, FileRegistry, Message } from "@bufbuild/protobuf";
import { isMessage } from "@bufbuild/protobuf";
import { type Any, anyPack } from "@bufbuild/protobuf/wkt";
import { type Code, ConnectError, type ConnectRouter, type HandlerContext } from "@connectrpc/connect";

const packageName = "connectrpc.conformance.v1";

interface Header {
  readonly name: string;
  readonly value: readonly string[];
}

interface ErrorDefinition {
  readonly code: Code;
  readonly message?: string;
  readonly details: readonly Any[];
}

interface UnaryDefinition {
  readonly responseHeaders: readonly Header[];
  readonly responseTrailers: readonly Header[];
  readonly response: { readonly case?: string; readonly value?: Uint8Array | ErrorDefinition };
  readonly responseDelayMs: number;
}

interface StreamDefinition {
  readonly responseHeaders: readonly Header[];
  readonly responseTrailers: readonly Header[];
  readonly responseData: readonly Uint8Array[];
  readonly responseDelayMs: number;
  readonly error?: ErrorDefinition;
}

type UnaryRequest = Message & { readonly responseDefinition?: UnaryDefinition };
type StreamRequest = Message & { readonly responseDefinition?: StreamDefinition; readonly fullDuplex?: boolean };

/** Registers the service on a router. */
export function registerConformance(router: ConnectRouter, registry: FileRegistry): void {
  new ConformanceService(registry).register(router);
}

class ConformanceService {
  readonly #registry: FileRegistry;

  constructor(registry: FileRegistry) {
    this.#registry = registry;
  }

  register(router: ConnectRouter): void {
    router.service(this.#service(), {
      unary: (request: UnaryRequest, context: HandlerContext) => this.#unary(request, context),
      idempotentUnary: (request: UnaryRequest, context: HandlerContext) => this.#unary(request, context),
      clientStream: (requests: AsyncIterable<UnaryRequest>, context: HandlerContext) =>
        this.#clientStream(requests, context),
      serverStream: (request: StreamRequest, context: HandlerContext) => this.#serverStream(request, context),
      bidiStream: (requests: AsyncIterable<StreamRequest>, context: HandlerContext) => this.#bidi(requests, context),
    } as never);
  }

  async #unary(request: UnaryRequest, context: HandlerContext) {
    return this.#answer([request], request.responseDefinition, context);
  }

  async #clientStream(requests: AsyncIterable<UnaryRequest>, context: HandlerContext) {
    const received: UnaryRequest[] = [];
    for await (const request of requests) received.push(request);
    return this.#answer(received, received[0]?.responseDefinition, context);
  }

  async #answer(
    requests: readonly UnaryRequest[],
    definition: UnaryDefinition | undefined,
    context: HandlerContext,
  ): Promise<object> {
    const requestInfo = this.#requestInfo(requests, context);
    if (definition === undefined) return { payload: { requestInfo } };
    announce(definition, context);
    await pause(definition.responseDelayMs, context);
    const { response } = definition;
    if (response.case === "error") throw this.#failure(response.value as ErrorDefinition, requestInfo);
    return { payload: { requestInfo, data: response.value as Uint8Array | undefined } };
  }

  async *#serverStream(request: StreamRequest, context: HandlerContext) {
    const definition = request.responseDefinition;
    if (definition === undefined) return;
    announce(definition, context);
    yield* this.#answers(definition, context, [request]);
  }

  async *#bidi(requests: AsyncIterable<StreamRequest>, context: HandlerContext) {
    let definition: StreamDefinition | undefined;
    let isFullDuplex = false;
    let received: StreamRequest[] = [];
    let sent = 0;
    let isFirst = true;
    for await (const request of requests) {
      received.push(request);
      if (isFirst) {
        isFirst = false;
        definition = request.responseDefinition;
        isFullDuplex = request.fullDuplex === true;
        if (definition !== undefined) announce(definition, context);
      }
      if (!isFullDuplex) continue;
      const data = definition?.responseData[sent];
      if (definition === undefined || data === undefined) break;
      const requestInfo = sent === 0 ? this.#requestInfo(received, context) : { requests: this.#packed(received) };
      await pause(definition.responseDelayMs, context);
      yield { payload: { data, requestInfo } };
      sent += 1;
      received = [];
    }
    if (definition !== undefined) yield* this.#answers(definition, context, received, sent);
  }

  async *#answers(
    definition: StreamDefinition,
    context: HandlerContext,
    received: readonly StreamRequest[],
    from = 0,
  ): AsyncGenerator<object> {
    let sent = from;
    for (const data of definition.responseData.slice(from)) {
      await pause(definition.responseDelayMs, context);
      yield { payload: { data, ...(sent === 0 && { requestInfo: this.#requestInfo(received, context) }) } };
      sent += 1;
    }
    if (definition.error === undefined) return;
    throw this.#failure(definition.error, sent === 0 ? this.#requestInfo(received, context) : undefined);
  }

  #requestInfo(requests: readonly Message[], context: HandlerContext): Record<string, unknown> {
    const timeoutMs = context.timeoutMs();
    const query = context.requestMethod === "GET" ? [...new URL(context.url).searchParams] : [];
    return {
      requestHeaders: [...context.requestHeader].map(([name, value]) => ({ name, value: [value] })),
      ...(timeoutMs !== undefined && { timeoutMs: BigInt(Math.round(timeoutMs)) }),
      requests: this.#packed(requests),
      ...(query.length > 0 && {
        connectGetInfo: { queryParams: query.map(([name, value]) => ({ name, value: [value] })) },
      }),
    };
  }

  #failure(
    { code, message = "", details }: ErrorDefinition,
    requestInfo: Record<string, unknown> | undefined,
  ): ConnectError {
    const error = new ConnectError(message, code);
    for (const { typeUrl, value } of details) {
      error.details.push({ type: typeUrl.slice(typeUrl.lastIndexOf("/") + 1), value });
    }
    if (requestInfo === undefined) return error;
    error.details.push({ desc: this.#message("ConformancePayload.RequestInfo"), value: requestInfo });
    return error;
  }

  #packed(messages: readonly Message[]): Any[] {
    return messages.map((message) => {
      const desc = this.#registry.getMessage(message.$typeName);
      if (desc === undefined || !isMessage(message, desc)) throw new Error(`${message.$typeName} is not known`);
      return anyPack(desc, message);
    });
  }

  #message(name: string): DescMessage {
    const desc = this.#registry.getMessage(`${packageName}.${name}`);
    if (desc === undefined) throw new Error(`the suite's contract has no message ${name}`);
    return desc;
  }

  #service(): DescService {
    const service = this.#registry.getService(`${packageName}.ConformanceService`);
    if (service === undefined) throw new Error("the suite's contract has no service");
    return service;
  }
}

function announce(
  { responseHeaders, responseTrailers }: Pick<UnaryDefinition, "responseHeaders" | "responseTrailers">,
  context: HandlerContext,
): void {
  append(context.responseHeader, responseHeaders);
  append(context.responseTrailer, responseTrailers);
}

function append(target: Headers, headers: readonly Header[]): void {
  for (const { name, value } of headers) for (const single of value) target.append(name, single);
}

async function pause(milliseconds: number, { signal }: HandlerContext): Promise<void> {
  if (milliseconds > 0) await sleep(milliseconds, undefined, { signal }).catch(() => signal.throwIfAborted());
}
