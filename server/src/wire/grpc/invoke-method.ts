/** Calls a service's method through the interceptors, which are the same as for the other protocols. */
import { create, type DescMessage, type Message, type MessageInitShape } from "@bufbuild/protobuf";
import type {
  Interceptor,
  MethodImplSpec,
  StreamRequest,
  StreamResponse,
  UnaryRequest,
  UnaryResponse,
} from "@connectrpc/connect";
import { Code, ConnectError } from "@connectrpc/connect";
import { CallRequest, CallResponse } from "./call-message.js";
import type { GrpcContext } from "./grpc-context.js";

type AnyFn = ReturnType<Interceptor>;
export type UnarySpec = Extract<MethodImplSpec, { kind: "unary" }>;
export type StreamingSpec = Exclude<MethodImplSpec, UnarySpec>;

/** A method and what surrounds it. */
export interface Invocation<Spec extends MethodImplSpec> {
  readonly spec: Spec;
  readonly context: GrpcContext;
  readonly interceptors: readonly Interceptor[];
}

/** Calls a unary method; resolves with its answer. */
export async function invokeUnary(invocation: Invocation<UnarySpec>, message: Message): Promise<Message> {
  const { spec, context } = invocation;
  const call: AnyFn = async (request) => {
    const answer = await spec.impl(request.message as Message, contextFor(context, request));
    return new CallResponse(context, false, create(spec.method.output, answer)) as UnaryResponse;
  };
  const response = await intercepted(call, invocation)(new CallRequest(context, false, message) as UnaryRequest);
  takeHeaders(context, response);
  return response.message as Message;
}

/** Calls a streaming method; resolves with its answers. */
export async function invokeStreaming(
  invocation: Invocation<StreamingSpec>,
  messages: AsyncIterable<Message>,
): Promise<AsyncIterable<Message>> {
  const { spec, context } = invocation;
  const call: AnyFn = async (request) => {
    const requests = request.message as AsyncIterable<Message>;
    const answers = await startStreaming(spec, requests, contextFor(context, request));
    return new CallResponse(context, true, answers) as StreamResponse;
  };
  const response = await intercepted(call, invocation)(new CallRequest(context, true, messages) as StreamRequest);
  takeHeaders(context, response);
  return response.message as AsyncIterable<Message>;
}

function intercepted(call: AnyFn, { interceptors }: Invocation<MethodImplSpec>): AnyFn {
  return interceptors.reduceRight((next, interceptor) => interceptor(next), call);
}

async function startStreaming(
  spec: StreamingSpec,
  requests: AsyncIterable<Message>,
  context: GrpcContext,
): Promise<AsyncIterable<Message>> {
  const { output } = spec.method;
  switch (spec.kind) {
    case "server_streaming":
      return complete(output, spec.impl(await only(requests), context));
    case "client_streaming":
      return complete(output, one(spec.impl(requests, context)));
    case "bidi_streaming":
      return complete(output, spec.impl(requests, context));
  }
}

/** The one request of a method that takes no stream of them. */
async function only(requests: AsyncIterable<Message>): Promise<Message> {
  const iterator = requests[Symbol.asyncIterator]();
  const first = await iterator.next();
  if (first.done === true) throw wrongCount("0");
  const second = await iterator.next();
  if (second.done !== true) throw wrongCount("more than 1");
  return first.value;
}

/** The error of a request with more or less than its one message. */
export function wrongCount(count: string): ConnectError {
  return new ConnectError(`request has ${count} messages, this method takes 1`, Code.Unimplemented);
}

async function* one<T>(value: Promise<T>): AsyncGenerator<T> {
  yield await value;
}

/** Services may answer with parts of messages. */
function complete<Desc extends DescMessage>(
  desc: Desc,
  answers: AsyncIterable<MessageInitShape<Desc>>,
): AsyncIterable<Message> {
  return {
    [Symbol.asyncIterator]() {
      const iterator = answers[Symbol.asyncIterator]();
      return {
        next: async () => {
          const result = await iterator.next();
          return result.done === true ? result : { done: false, value: create(desc, result.value) };
        },
        return: async (value) => {
          await iterator.return?.();
          return { done: true, value };
        },
      };
    },
  };
}

/** The context as interceptors have left it: they hand on the request they got, one made from it, or a copy. */
function contextFor(context: GrpcContext, request: UnaryRequest | StreamRequest): GrpcContext {
  return request instanceof CallRequest ? context : context.changed(request);
}

/** Takes over the headers of a response that an interceptor has put in the place of the service's. */
function takeHeaders(context: GrpcContext, response: UnaryResponse | StreamResponse): void {
  if (response instanceof CallResponse) return;
  replaceAll(context.responseHeader, response.header);
  replaceAll(context.responseTrailer, response.trailer);
}

function replaceAll(target: Headers, source: Headers): void {
  if (target === source) return;
  for (const name of [...target.keys()]) target.delete(name);
  for (const [name, value] of source) target.append(name, value);
}
