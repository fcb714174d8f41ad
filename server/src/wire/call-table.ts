import { constants, type ServerHttp2Session, type ServerHttp2Stream } from "node:http2";
import type { Connection } from "./connection.js";
import type { ConnectionTable } from "./connection-table.js";
import { type HttpRequest, type HttpResponse, http2Stream } from "./http-exchange.js";
import { OpenCall } from "./open-call.js";
import type { PortLimits } from "./port-limits.js";
import type { PortObserver } from "./port-observer.js";
import type { WatchedCall } from "./watched-call.js";

/** What a call table needs. */
export interface CallTableOptions {
  readonly limits: PortLimits;
  readonly observer: PortObserver;
  readonly connections: ConnectionTable;
  /** Monotonic time in milliseconds. */
  readonly now: () => number;
}

/** All open calls of a port: counts them against the bounds, and ends those whose time is up. One sweep costs O(calls). */
export class CallTable {
  readonly #options: CallTableOptions;
  readonly #calls = new Set<WatchedCall>();
  #closing = false;

  constructor(options: CallTableOptions) {
    this.#options = options;
  }

  /** Calls that are open now. */
  get size(): number {
    return this.#calls.size;
  }

  /** The time of the clock by which calls are watched. */
  get nowMs(): number {
    return this.#options.now();
  }

  /** Takes a new call until its response closes. One too many is refused, and `undefined` returned. */
  open(request: HttpRequest, response: HttpResponse): OpenCall | undefined {
    // Writing to a response whose client has gone is an error event; its close follows and is what counts.
    response.on("error", () => {});
    const connection = this.#options.connections.of(request);
    if (connection === undefined) return undefined;
    if (this.#isFull(connection)) {
      this.#refuse(response);
      return undefined;
    }
    const call = new OpenCall(request, response, this.#options.now());
    this.add(call, connection);
    response.once("close", () => {
      call.markClosed();
      this.remove(call, connection);
    });
    return call;
  }

  /**
   * The connection on which a new call may begin with this stream of HTTP/2. One call too many is refused, and `undefined`
   * returned.
   */
  admit(stream: ServerHttp2Stream): Connection | undefined {
    const { session } = stream;
    const connection =
      session === undefined ? undefined : this.#options.connections.ofSession(session as ServerHttp2Session);
    if (connection === undefined || !this.#isFull(connection)) return connection;
    this.#refuseStream(stream);
    return undefined;
  }

  /** Takes a new call; `remove` has to follow when its response has closed. */
  add(call: WatchedCall, connection: Connection): void {
    if (this.#closing) call.makeLast();
    this.#calls.add(call);
    connection.callOpened();
    this.#options.observer.callOpened?.();
  }

  /** Forgets a call that was added. */
  remove(call: WatchedCall, connection: Connection): void {
    this.#calls.delete(call);
    this.#options.observer.callClosed?.();
    this.#options.connections.callClosed(connection);
  }

  /** Makes every call that is open, or still comes, the last of its connection. */
  close(): void {
    this.#closing = true;
    for (const call of this.#calls) call.makeLast();
  }

  /** Ends the requests and responses whose time is up. */
  sweep(): void {
    const { limits, observer, now } = this.#options;
    const nowMs = now();
    for (const call of this.#calls) {
      const stalled = call.check(nowMs, limits);
      if (stalled !== undefined) observer.subscriberStalled?.(stalled);
    }
  }

  #isFull(connection: Connection): boolean {
    const { limits } = this.#options;
    return this.#calls.size >= limits.maxCalls || connection.openCalls >= limits.maxStreamsPerConnection;
  }

  #refuse(response: HttpResponse): void {
    const stream = http2Stream(response);
    if (stream !== undefined) {
      this.#refuseStream(stream);
      return;
    }
    this.#options.observer.callRefused?.("TOO_MANY_CALLS");
    response.writeHead(503, { connection: "close", "retry-after": "1", "content-type": "application/json" });
    response.end('{"code":"unavailable","message":"too many open calls"}');
  }

  #refuseStream(stream: ServerHttp2Stream): void {
    this.#options.observer.callRefused?.("TOO_MANY_CALLS");
    // Means that nothing was done, so the client may repeat it (RFC 9113, 8.7); gRPC reads it as UNAVAILABLE.
    stream.close(constants.NGHTTP2_REFUSED_STREAM);
  }
}
