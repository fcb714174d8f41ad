import type { OutgoingHttpHeaders } from "node:http";
import { constants, type ServerHttp2Stream } from "node:http2";
import type { UniversalServerResponse } from "@connectrpc/connect/protocol";
import { completeTrailers } from "./error-completion.js";
import { normalizeGrpcTrailers } from "./grpc-trailers.js";
import { type HttpResponse, http2Stream } from "./http-exchange.js";
import type { OpenCall } from "./open-call.js";
import type { PortObserver } from "./port-observer.js";

/** Bytes handed to Node.js at once: the grain in which a client's progress can be seen. */
const maxWriteBytes = 64 * 1024;

/**
 * Writes a response as fast as the client takes it: the next chunk of the body is asked for when the last was accepted.
 * When the client leaves, the body is told by `return()`, so that its `finally` runs however the call ends.
 */
export async function writeResponse(
  response: UniversalServerResponse,
  call: OpenCall,
  observer: PortObserver,
): Promise<void> {
  const body = response.body?.[Symbol.asyncIterator]();
  try {
    // The headers wait for the first chunk: until then the service may still set some.
    let chunk = await body?.next();
    if (call.closed) return;
    call.response.writeHead(response.status, nodeHeaders(response.header));
    while (chunk?.done === false) {
      await writeChunk(chunk.value, call);
      if (call.closed) return;
      chunk = await body?.next();
    }
    if (call.closed) return;
    if (response.trailer !== undefined) {
      normalizeGrpcTrailers(response.trailer);
      completeTrailers(response.trailer, (reason) => observer.callRefused?.(reason));
      call.response.addTrailers(nodeHeaders(response.trailer));
    }
    end(call);
  } finally {
    await body?.return?.();
  }
}

/** Writes a chunk in parts, each when the one before was accepted. Returns early when the client is gone. */
async function writeChunk(chunk: Uint8Array, call: OpenCall): Promise<void> {
  for (let start = 0; start < chunk.byteLength && !call.closed; start += maxWriteBytes) {
    const part = chunk.subarray(start, start + maxWriteBytes);
    call.wrote(part.byteLength);
    if (!write(call.response, part)) await drained(call);
  }
}

/** The two kinds of response have the same `write`, which their union does not. */
function write(response: HttpResponse, part: Uint8Array): boolean {
  return "stream" in response ? response.write(part) : response.write(part);
}

function drained({ response, closed }: OpenCall): Promise<void> {
  if (closed) return Promise.resolve();
  return new Promise((resolve) => {
    const done = () => {
      response.off("drain", done);
      response.off("close", done);
      resolve();
    };
    response.on("drain", done);
    response.on("close", done);
  });
}

function end(call: OpenCall): void {
  const stream = http2Stream(call.response);
  const mayGoOn = stream !== undefined && !stream.endAfterHeaders && !stream.readableEnded;
  if (mayGoOn) stream.once("wantTrailers", () => setImmediate(() => stopRequest(stream)));
  call.response.end();
}

/**
 * Cuts off, without fault (RFC 9113, 8.1), a request that goes on after its answer: its stream would stay open. Called once
 * the trailers are written, for a reset any earlier would overtake them.
 */
function stopRequest(stream: ServerHttp2Stream): void {
  if (!stream.readableEnded && !stream.destroyed) stream.close(constants.NGHTTP2_NO_ERROR);
}

function nodeHeaders(headers: Headers | undefined): OutgoingHttpHeaders {
  return headers === undefined ? {} : Object.fromEntries(headers);
}
