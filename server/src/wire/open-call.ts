import { constants } from "node:http2";
import { clientIsGone, requestTimeout } from "./end-of-call.js";
import { type HttpRequest, type HttpResponse, http2Stream, pathOf, pendingBytes } from "./http-exchange.js";
import type { PortLimits } from "./port-limits.js";
import type { StalledResponse } from "./port-observer.js";
import type { RequestBody } from "./request-body.js";
import { ResponseProgress } from "./response-progress.js";
import type { WatchedCall } from "./watched-call.js";

/** One request and its response, from the request's headers until the response has closed. */
export class OpenCall implements WatchedCall {
  readonly request: HttpRequest;
  readonly response: HttpResponse;
  readonly #startedMs: number;
  #body: RequestBody | undefined;
  readonly #progress: ResponseProgress;
  readonly #abort = new AbortController();
  #stalledMs: number | undefined;
  #answered = false;
  #closed = false;

  constructor(request: HttpRequest, response: HttpResponse, nowMs: number) {
    this.request = request;
    this.response = response;
    this.#startedMs = nowMs;
    this.#progress = new ResponseProgress(nowMs);
  }

  /** Whether the response has closed: it is complete, or the client is gone. */
  get closed(): boolean {
    return this.#closed;
  }

  /** Names the body that has to arrive within the request timeout. */
  expectBody(body: RequestBody): void {
    this.#body = body;
  }

  /** Notes that `bytes` more of the response were handed to Node.js. */
  wrote(bytes: number): void {
    this.#progress.wrote(bytes);
  }

  /** Tells an HTTP/1.1 client that its connection ends with this response. HTTP/2 says so by GOAWAY. */
  makeLast(): void {
    if (http2Stream(this.response) === undefined && !this.response.headersSent) {
      this.response.setHeader("connection", "close");
    }
  }

  /** Aborts when the response closes before the call is answered; the reason says why as an error of the call. */
  get signal(): AbortSignal {
    return this.#abort.signal;
  }

  /** Notes that nobody works on the call any more. */
  answered(): void {
    this.#answered = true;
  }

  markClosed(): void {
    this.#closed = true;
    if (!this.#answered) this.#abort.abort(clientIsGone(this.#stalledMs).toConnectError());
  }

  /** Fails the request when it has taken too long to arrive, and ends a stalled response; returns the latter. */
  check(nowMs: number, limits: PortLimits): StalledResponse | undefined {
    if (this.#body?.isArriving === true && nowMs - this.#startedMs >= limits.requestTimeoutMs) {
      this.#body.fail(requestTimeout(limits.requestTimeoutMs));
    }
    const stalledMs = Math.round(this.#progress.sinceAcceptedMs(pendingBytes(this.response), nowMs));
    if (stalledMs < limits.subscriberStallTimeoutMs) return undefined;
    if (this.#stalledMs !== undefined) {
      // The reset itself could not be written: the whole connection accepts nothing.
      this.#destroy();
      return undefined;
    }
    this.#stalledMs = stalledMs;
    const { remoteAddress, remotePort } = this.request.socket;
    const stalled = {
      path: pathOf(this.request),
      peer: remoteAddress === undefined ? "" : `${remoteAddress}:${remotePort}`,
      stalledMs,
      pendingBytes: pendingBytes(this.response),
    };
    this.#reset();
    return stalled;
  }

  #reset(): void {
    const stream = http2Stream(this.response);
    // gRPC reads this code as RESOURCE_EXHAUSTED.
    if (stream !== undefined) stream.close(constants.NGHTTP2_ENHANCE_YOUR_CALM);
    else this.request.socket.destroy();
  }

  #destroy(): void {
    const stream = http2Stream(this.response);
    if (stream !== undefined) stream.destroy();
    else this.request.socket.destroy();
  }
}
