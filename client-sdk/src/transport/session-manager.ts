import type { ClientHttp2Session, ClientHttp2Stream, OutgoingHttpHeaders } from "node:http2";
import { Http2SessionManager } from "@connectrpc/connect-node";

type SessionOptions = ConstructorParameters<typeof Http2SessionManager>[2];

/**
 * Bytes that all streams of a connection may be sent ahead. At the default of 64 KiB the server stops in each batch of a busy
 * subscription until this side has said that it goes on.
 */
const connectionWindowBytes = 16 * 1024 * 1024;

/** When a silent connection is asked whether it lives, and how long it may take to answer, in milliseconds. */
interface KeepaliveTimes {
  readonly pingIntervalMs: number;
  readonly pingTimeoutMs: number;
}

/** A state of the library's manager; a connection appears first while it is being made. */
type ConnectionState =
  | { readonly t: "connecting"; readonly conn: Promise<ClientHttp2Session> }
  | { readonly t: string };

/** A connection that stands, as the library knows it. */
interface ReadyState {
  readonly t: "ready";
  readonly conn: ClientHttp2Session;
  /** Whether it was silent for so long that it has to be asked before it is used. */
  requiresVerify(): boolean;
  isShuttingDown(): boolean;
  registerRequest(stream: ClientHttp2Stream): void;
}

/** What the library keeps to itself: the state of its manager, and how it goes from one to the next. */
interface ConnectionStates {
  readonly s: ConnectionState | ReadyState;
  setState(state: ConnectionState): void;
}

/**
 * Keeps the connection of a transport. A connection that is lost, or whose PING was not answered, tells its error a moment after
 * it is gone; a call that begins in that moment makes the library take its listener away, and an error that nobody listens to ends
 * the process. Here somebody always listens: calls learn of the loss from their own streams.
 */
export class SessionManager extends Http2SessionManager {
  #heardAtMs = 0;
  /** How long after one note the next may wait: a fraction of the silence after which a connection is asked. */
  readonly #quietMs: number;

  constructor(baseUrl: string, keepalive: KeepaliveTimes, options: SessionOptions) {
    super(baseUrl, keepalive, options);
    this.#quietMs = keepalive.pingIntervalMs / 8;
    listenToConnections(this as unknown as ConnectionStates);
  }

  /**
   * Begins a stream at once; `undefined` where the connection does not stand, or has to be asked whether it lives: then `request`
   * takes the time for it, or tells what is wrong.
   */
  requestNow(headers: OutgoingHttpHeaders): ClientHttp2Stream | undefined {
    const state = (this as unknown as ConnectionStates).s;
    if (!isReady(state) || state.isShuttingDown() || state.requiresVerify()) return undefined;
    const { conn: connection } = state;
    if (connection.closed || connection.destroyed) return undefined;
    try {
      const stream = connection.request(headers, {});
      state.registerRequest(stream);
      return stream;
    } catch {
      // The library meets the same, and either goes on with another connection or tells it.
      return undefined;
    }
  }

  /** Notes that a stream has brought something: its connection lives. Often enough for that, for noting restarts a timer. */
  heard(stream: ClientHttp2Stream): void {
    const nowMs = performance.now();
    if (nowMs - this.#heardAtMs < this.#quietMs) return;
    this.#heardAtMs = nowMs;
    this.notifyResponseByteRead(stream);
  }
}

function isReady(state: ConnectionState | ReadyState): state is ReadyState {
  return state.t === "ready";
}

/** Listens to each connection before the library does, and never stops. */
function listenToConnections(states: ConnectionStates): void {
  const setState = states.setState.bind(states);
  states.setState = (state) => {
    // One that is not made tells the library why.
    if ("conn" in state && state.t === "connecting") state.conn.then(prepare, ignore);
    setState(state);
  };
}

function prepare(connection: ClientHttp2Session): void {
  connection.on("error", ignore);
  // It may be gone again.
  if (!connection.destroyed) connection.setLocalWindowSize(connectionWindowBytes);
}

function ignore(): void {}
