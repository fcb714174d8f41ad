import type { IncomingHttpHeaders } from "node:http2";
import { type DescMessage, type Message, toBinary } from "@bufbuild/protobuf";
import { Code, ConnectError, type Interceptor, type MethodImplSpec } from "@connectrpc/connect";
import type { FrameMethods } from "../../rpc/frame-method.js";
import { grpcFrame, grpcFrameHeaderBytes } from "../../rpc/grpc-frame.js";
import { readyFrame } from "../../rpc/ready-frame.js";
import { requestCompression } from "../accepted-compressions.js";
import { grpcTimeoutMs } from "../call-deadline.js";
import type { PortLimits } from "../port-limits.js";
import type { PortLogger } from "../port-logger.js";
import { responseTooLarge } from "../wire-refusal.js";
import type { GrpcCall } from "./grpc-call.js";
import { GrpcContext } from "./grpc-context.js";
import { type Invocation, invokeStreaming, invokeUnary, type StreamingSpec, type UnarySpec } from "./invoke-method.js";
import { type MessageReading, RequestMessages } from "./request-messages.js";
import { serveFrames } from "./serve-frames.js";
import { singleMessage, whenArrived } from "./single-message.js";

/** What serving calls is told. */
export interface ServeOptions {
  readonly interceptors: readonly Interceptor[];
  /** Methods that go without the interceptors, and write their frames themselves. */
  readonly frameMethods: FrameMethods;
  readonly limits: PortLimits;
  readonly logger: PortLogger;
}

/** Serves one call of a method, and sees to it that the call ends. */
export function serveMethod(
  call: GrpcCall,
  spec: MethodImplSpec,
  headers: IncomingHttpHeaders,
  options: ServeOptions,
): void {
  const { interceptors, limits, frameMethods } = options;
  try {
    const reading = {
      desc: spec.method.input,
      compression: requestCompression(headers["grpc-encoding"] as string | undefined),
      maxMessageBytes: limits.maxRequestBytes,
    };
    const timeoutMs = grpcTimeoutMs(headers["grpc-timeout"] as string | undefined, limits.maxCallTimeMs);
    if (timeoutMs !== undefined) call.expireAfter(timeoutMs);
    const frameMethod = frameMethods.get(call.path);
    if (frameMethod !== undefined) {
      serveFrames(call, frameMethod, reading);
      return;
    }
    const context = new GrpcContext({ method: spec.method, headers, call, timeoutMs });
    if (spec.kind === "unary") {
      whenArrived(call, () => void answerUnary(call, reading, { spec, context, interceptors }, options));
    } else void serveStreaming(call, reading, { spec, context, interceptors }, options);
  } catch (error) {
    failWith(call, error, options.logger);
  }
}

async function answerUnary(
  call: GrpcCall,
  reading: MessageReading,
  invocation: Invocation<UnarySpec>,
  { limits, logger }: ServeOptions,
): Promise<void> {
  try {
    const read = singleMessage(call.request, reading);
    const answer = await invokeUnary(invocation, read instanceof Promise ? await read : read);
    call.succeed(encode(invocation.spec.method.output, answer, limits.maxResponseBytes));
  } catch (error) {
    failWith(call, error, logger);
  }
}

async function serveStreaming(
  call: GrpcCall,
  reading: MessageReading,
  invocation: Invocation<StreamingSpec>,
  { limits, logger }: ServeOptions,
): Promise<void> {
  const { response } = call;
  const requests = new RequestMessages(call.request, reading);
  call.watchRequest(() => requests.notify());
  try {
    const answers = await invokeStreaming(invocation, requests);
    for await (const answer of answers) {
      if (response.isFinished || response.isClosed) break;
      response.write(encode(invocation.spec.method.output, answer, limits.maxResponseBytes));
      if (!response.isReady) await response.drained();
      if (response.isFinished || response.isClosed) break;
    }
    call.succeed();
  } catch (error) {
    failWith(call, error, logger);
  }
}

function encode(desc: DescMessage, message: Message, maxBytes: number): Uint8Array {
  const frame = readyFrame(message);
  const bytes = frame?.subarray(grpcFrameHeaderBytes) ?? toBinary(desc, message);
  if (bytes.byteLength > maxBytes) {
    throw new ConnectError(responseTooLarge(bytes.byteLength, maxBytes), Code.Internal);
  }
  return frame ?? grpcFrame(bytes);
}

function failWith(call: GrpcCall, error: unknown, logger: PortLogger): void {
  if (error instanceof ConnectError) {
    call.fail(error);
    return;
  }
  logger.error({ path: call.path, err: error }, "failed to answer a call");
  call.fail(new ConnectError("internal error", Code.Internal));
}
