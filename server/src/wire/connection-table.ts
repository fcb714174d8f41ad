import type { ServerHttp2Session } from "node:http2";
import type { Socket } from "node:net";
import { Connection } from "./connection.js";
import type { HttpRequest } from "./http-exchange.js";
import type { PortLimits } from "./port-limits.js";
import type { PortLogger } from "./port-logger.js";
import type { PortObserver } from "./port-observer.js";

/** What a connection table needs. */
export interface ConnectionTableOptions {
  readonly limits: PortLimits;
  readonly observer: PortObserver;
  readonly logger: PortLogger;
  /** Monotonic time in milliseconds. */
  readonly now: () => number;
}

/** All open connections of a port, from accepting to closing, whichever protocol they turn out to speak. */
export class ConnectionTable {
  readonly #options: ConnectionTableOptions;
  readonly #connections = new Map<Socket, Connection>();
  readonly #bySession = new WeakMap<ServerHttp2Session, Connection>();
  #closing = false;
  #whenEmpty: (() => void) | undefined;

  constructor(options: ConnectionTableOptions) {
    this.#options = options;
  }

  /** Connections that are open now. */
  get size(): number {
    return this.#connections.size;
  }

  /** Takes a new connection and forgets it when it closes; closes it at once and returns false when there are too many. */
  add(socket: Socket): boolean {
    const { limits, observer, now } = this.#options;
    // An error only means that the connection is gone, and its close follows.
    socket.on("error", () => socket.destroy());
    if (this.#closing || this.#connections.size >= limits.maxConnections) {
      observer.connectionRefused?.();
      socket.destroy();
      return false;
    }
    this.#connections.set(socket, new Connection(socket, now()));
    observer.connectionOpened?.();
    socket.once("close", () => this.#remove(socket));
    return true;
  }

  /** Notes that the connection of `socket` speaks HTTP/2. */
  setSession(socket: Socket, session: ServerHttp2Session): void {
    const connection = this.#connections.get(socket);
    if (connection === undefined) return;
    connection.setSession(session);
    this.#bySession.set(session, connection);
  }

  /** The connection of a request, `undefined` when it is gone. */
  of(request: HttpRequest): Connection | undefined {
    if (!("stream" in request)) return this.#connections.get(request.socket);
    const { session } = request.stream;
    return session === undefined ? undefined : this.ofSession(session as ServerHttp2Session);
  }

  /** The connection of an HTTP/2 session, `undefined` when it is gone. */
  ofSession(session: ServerHttp2Session): Connection | undefined {
    return this.#bySession.get(session);
  }

  /** Ends the connections whose time is up. */
  sweep(): void {
    const nowMs = this.#options.now();
    for (const connection of this.#connections.values()) {
      const why = connection.check(nowMs, this.#options.limits);
      if (why === undefined) continue;
      const { remoteAddress, remotePort } = connection.socket;
      this.#options.logger.debug({ peer: `${remoteAddress}:${remotePort}`, why }, "ended a connection");
    }
  }

  /** Takes no more connections and calls, and resolves when the last connection has closed. */
  close(): Promise<void> {
    this.#closing = true;
    for (const connection of this.#connections.values()) connection.close();
    if (this.#connections.size === 0) return Promise.resolve();
    return new Promise((resolve) => {
      this.#whenEmpty = resolve;
    });
  }

  /** Ends one connection's part in closing: over HTTP/1.1 a connection without a call is not used again. */
  callClosed(connection: Connection): void {
    connection.callClosed(this.#options.now());
    if (this.#closing) connection.close();
  }

  /** Ends all connections at once. */
  destroyAll(): void {
    for (const connection of this.#connections.values()) connection.destroy();
  }

  #remove(socket: Socket): void {
    this.#connections.delete(socket);
    this.#options.observer.connectionClosed?.();
    if (this.#connections.size === 0) this.#whenEmpty?.();
  }
}
