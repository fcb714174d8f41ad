import type { ClientHttp2Session, ClientHttp2Stream } from "node:http2";
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

/** What the library keeps to itself: how its manager goes from one state to the next. */
interface ConnectionStates {
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

  /** Notes that a stream has brought something: its connection lives. Often enough for that, for noting restarts a timer. */
  heard(stream: ClientHttp2Stream): void {
    const nowMs = performance.now();
    if (nowMs - this.#heardAtMs < this.#quietMs) return;
    this.#heardAtMs = nowMs;
    this.notifyResponseByteRead(stream);
  }
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
