import { constants, type IncomingHttpHeaders, type ServerHttp2Stream } from "node:http2";
import { Code, ConnectError } from "@connectrpc/connect";
import type { FrameStream, RequestFrameCall } from "../../rpc/frame-method.js";
import type { CallTable } from "../call-table.js";
import type { Connection } from "../connection.js";
import { clientIsGone, requestTimeout } from "../end-of-call.js";
import type { PortLimits } from "../port-limits.js";
import type { StalledResponse } from "../port-observer.js";
import type { WatchedCall } from "../watched-call.js";
import { type GrpcEnvironment, GrpcRequest, type RequestOwner } from "./grpc-request.js";
import { GrpcResponse } from "./grpc-response.js";
import { failureTrailers, successTrailers } from "./grpc-status.js";

/** What a call is made of. */
export interface GrpcCallOptions {
  readonly stream: ServerHttp2Stream;
  readonly headers: IncomingHttpHeaders;
  /** Whether the request is a stream, which may take as long as it likes. */
  readonly isRequestStream: boolean;
  /** When the request's headers arrived, of the clock that `check` is told. */
  readonly startedMs: number;
  readonly connection: Connection;
}

/** What all calls of a port share. */
export interface GrpcCallEnvironment extends GrpcEnvironment {
  readonly calls: CallTable;
}

/**
 * One gRPC call on its stream, from the request's headers until the stream has closed. It ends once: with an answer, with a
 * failure, at its deadline, or because its client is gone; whoever comes later has no effect.
 */
export class GrpcCall implements WatchedCall, RequestFrameCall, RequestOwner {
  readonly request: GrpcRequest;
  readonly response: GrpcResponse;
  readonly path: string;
  readonly #environment: GrpcCallEnvironment;
  readonly #stream: ServerHttp2Stream;
  readonly #connection: Connection;
  readonly #isRequestStream: boolean;
  readonly #startedMs: number;
  #onRequestChange = ignore;
  #deadline: NodeJS.Timeout | undefined;
  /** When it passes, on the monotonic clock. */
  #deadlineMs: number | undefined;
  #abort: AbortController | undefined;
  #abortReason: ConnectError | undefined;
  #stalledMs: number | undefined;

  constructor(environment: GrpcCallEnvironment, options: GrpcCallOptions) {
    const { stream, headers, isRequestStream, startedMs } = options;
    this.#environment = environment;
    this.#stream = stream;
    this.#connection = options.connection;
    this.#isRequestStream = isRequestStream;
    this.#startedMs = startedMs;
    this.path = headers[":path"] ?? "";
    this.request = new GrpcRequest(stream, environment, this);
    this.response = new GrpcResponse(stream, headers["content-type"] ?? "", startedMs);
  }

  /** Aborts when the call ends before it is answered; the reason says why as an error of the call. */
  get signal(): AbortSignal {
    if (this.#abort === undefined) {
      this.#abort = new AbortController();
      if (this.#abortReason !== undefined) this.#abort.abort(this.#abortReason);
    }
    return this.#abort.signal;
  }

  /** Calls back when a message has arrived, or the request is complete or has failed. */
  watchRequest(onChange: () => void): void {
    this.#onRequestChange = onChange;
  }

  requestChanged(): void {
    this.#onRequestChange();
  }

  readOn(): void {
    this.#onRequestChange();
  }

  get isReady(): boolean {
    return this.response.isReady;
  }

  write(frames: Uint8Array): void {
    this.response.write(frames);
  }

  /** Hands the call to what writes its frames. It is told to leave when the call ends, at once when it has. */
  feedFrom(stream: FrameStream | undefined): void {
    if (this.#abortReason === undefined) this.response.feeder = stream;
    else stream?.leave(this.#abortReason);
  }

  get remainingMs(): number | undefined {
    return this.#deadlineMs === undefined ? undefined : Math.max(0, this.#deadlineMs - performance.now());
  }

  /** Ends the call with DEADLINE_EXCEEDED after this time. */
  expireAfter(timeoutMs: number): void {
    this.#deadlineMs = performance.now() + timeoutMs;
    this.#deadline = setTimeout(() => this.#expire(), timeoutMs);
  }

  /** Ends the call well, with a last frame behind what was written. */
  succeed(lastFrame?: Uint8Array): void {
    this.response.finish(successTrailers(this.response.addedTrailer), lastFrame);
    this.#end();
  }

  /** Ends the call with an error, behind what was written. */
  fail(error: ConnectError): void {
    if (this.response.isFinished) return;
    const { callRefused } = this.#environment.observer;
    this.response.fail(failureTrailers(error, this.response.addedTrailer, (reason) => callRefused?.(reason)));
    this.#end();
  }

  /** Frees what the call holds: its stream has closed. */
  closed(): void {
    if (!this.response.isFinished) this.#abortWith(clientIsGone(this.#stalledMs).toConnectError());
    this.response.markClosed();
    this.#end();
    this.#environment.calls.remove(this, this.#connection);
  }

  /** Over HTTP/2 a GOAWAY says it for the whole connection. */
  makeLast(): void {}

  check(nowMs: number, limits: PortLimits): StalledResponse | undefined {
    const stream = this.#stream;
    if (!this.#isRequestStream && this.request.isArriving && nowMs - this.#startedMs >= limits.requestTimeoutMs) {
      this.request.fail(requestTimeout(limits.requestTimeoutMs));
    }
    const pendingBytes = stream.writableLength;
    const stalledMs = Math.round(this.response.progress.sinceAcceptedMs(pendingBytes, nowMs));
    if (stalledMs < limits.subscriberStallTimeoutMs) return undefined;
    if (this.#stalledMs !== undefined) {
      // The reset itself could not be written: the whole connection accepts nothing.
      stream.destroy();
      return undefined;
    }
    this.#stalledMs = stalledMs;
    const { remoteAddress, remotePort } = stream.session?.socket ?? {};
    const peer = remoteAddress === undefined ? "" : `${remoteAddress}:${remotePort}`;
    // gRPC reads this code as RESOURCE_EXHAUSTED.
    stream.close(constants.NGHTTP2_ENHANCE_YOUR_CALM);
    return { path: this.path, peer, stalledMs, pendingBytes };
  }

  #expire(): void {
    const error = new ConnectError("the deadline of the call has passed", Code.DeadlineExceeded);
    this.#abortWith(error);
    this.fail(error);
  }

  /** Whoever still reads the request or works on the answer is told to stop. */
  #end(): void {
    clearTimeout(this.#deadline);
    this.request.discard();
    this.#onRequestChange = ignore;
    this.#abortWith(ended);
  }

  #abortWith(reason: ConnectError): void {
    this.#abortReason ??= reason;
    this.#abort?.abort(this.#abortReason);
    const { feeder } = this.response;
    this.response.feeder = undefined;
    feeder?.leave(this.#abortReason);
  }
}

const ended = new ConnectError("the call has ended", Code.Canceled);

function ignore(): void {}
