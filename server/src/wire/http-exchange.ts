import type { IncomingMessage, ServerResponse } from "node:http";
import type { Http2ServerRequest, Http2ServerResponse, ServerHttp2Stream } from "node:http2";

/** A request as Node.js gives it, over either version of HTTP. */
export type HttpRequest = IncomingMessage | Http2ServerRequest;
/** A response as Node.js gives it, over either version of HTTP. */
export type HttpResponse = ServerResponse | Http2ServerResponse;

/** The HTTP/2 stream of a response, `undefined` over HTTP/1.1. */
export function http2Stream(response: HttpResponse): ServerHttp2Stream | undefined {
  return "stream" in response ? response.stream : undefined;
}

/** Bytes of a response that wait for the client to accept them. */
export function pendingBytes(response: HttpResponse): number {
  return "stream" in response ? response.stream.writableLength : response.writableLength;
}

/** The path of a request without its query. */
export function pathOf(request: HttpRequest): string {
  const url = request.url ?? "";
  const end = url.indexOf("?");
  return end < 0 ? url : url.slice(0, end);
}

/** A header that must be single, `""` when it is not there. */
export function headerOf(request: HttpRequest, name: string): string {
  const value = request.headers[name];
  return typeof value === "string" ? value : "";
}
