/**
 * Serves gRPC on the streams of node:http2. What Node.js puts between a stream and a handler of requests, and the protocol
 * library between that and a service, costs more than most calls: see docs/adr/0008-lean-grpc-path.md.
 */
import type { IncomingHttpHeaders, ServerHttp2Stream } from "node:http2";
import { GrpcCall, type GrpcCallEnvironment } from "./grpc-call.js";
import type { GrpcMethods } from "./grpc-method.js";
import { type ServeOptions, serveMethod } from "./serve-method.js";

/** What the gRPC server needs. */
export interface GrpcServerOptions extends ServeOptions, GrpcCallEnvironment {
  readonly methods: GrpcMethods;
}

/** The call of a stream is kept on it, so that all streams share their listeners. */
const callOf = Symbol("call");

interface CallStream extends ServerHttp2Stream {
  [callOf]?: GrpcCall;
}

/** Serves calls of gRPC in its binary form over HTTP/2. */
export class GrpcServer {
  readonly #options: GrpcServerOptions;

  constructor(options: GrpcServerOptions) {
    this.#options = options;
  }

  /** Takes a stream when it is a call that it serves; else returns false and leaves it alone. */
  accept(stream: CallStream, headers: IncomingHttpHeaders): boolean {
    const spec = isPlainCall(headers) ? this.#options.methods.get(headers[":path"] ?? "") : undefined;
    if (spec === undefined) return false;
    // Writing to a stream whose client has gone is an error event; its close follows and is what counts.
    stream.on("error", ignore);
    const { calls } = this.#options;
    const connection = calls.admit(stream);
    if (connection === undefined) return true;
    const isRequestStream = spec.kind === "client_streaming" || spec.kind === "bidi_streaming";
    const call = new GrpcCall(this.#options, { stream, headers, isRequestStream, startedMs: calls.nowMs, connection });
    calls.add(call, connection);
    stream[callOf] = call;
    stream.on("wantTrailers", onWantTrailers);
    stream.on("drain", onDrain);
    stream.on("close", onClose);
    stream.on("data", onData);
    stream.on("end", onEnd);
    serveMethod(call, spec, headers, this.#options);
    return true;
  }
}

/** What is not, the protocol library answers: gRPC as JSON, what a browser asks, methods other than POST. */
function isPlainCall(headers: IncomingHttpHeaders): boolean {
  const type = headers["content-type"];
  if (type !== "application/grpc" && type !== "application/grpc+proto") return false;
  return headers[":method"] === "POST" && headers.origin === undefined && headers.expect === undefined;
}

function onData(this: CallStream, piece: Buffer): void {
  this[callOf]?.request.push(piece);
}

function onEnd(this: CallStream): void {
  this[callOf]?.request.end();
}

function onDrain(this: CallStream): void {
  this[callOf]?.response.flush();
}

function onWantTrailers(this: CallStream): void {
  this[callOf]?.response.sendTrailers();
}

function onClose(this: CallStream): void {
  this[callOf]?.closed();
}

function ignore(): void {}
