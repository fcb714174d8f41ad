import type { ClientHttp2Stream, Http2Session } from "node:http2";
import { Http2SessionManager } from "@connectrpc/connect-node";

const ignoreError = (): void => undefined;

type SessionOptions = ConstructorParameters<typeof Http2SessionManager>[2];

/** When a silent connection is asked whether it lives, and how long it may take to answer, in milliseconds. */
interface KeepaliveTimes {
  readonly pingIntervalMs: number;
  readonly pingTimeoutMs: number;
}

/**
 * Keeps the connection of a transport. A connection whose PING was not answered tells its error a moment after it is gone; a
 * call that begins in that moment makes the library take its listener away, and an error that nobody listens to ends the
 * process. Here somebody always listens: calls learn of the loss from their own streams.
 */
export class SessionManager extends Http2SessionManager {
  #guarded: Http2Session | undefined;
  #heardAtMs = 0;
  /** How long after one note the next may wait: a fraction of the silence after which a connection is asked. */
  readonly #quietMs: number;

  constructor(baseUrl: string, keepalive: KeepaliveTimes, options: SessionOptions) {
    super(baseUrl, keepalive, options);
    this.#quietMs = keepalive.pingIntervalMs / 8;
  }

  override async request(...args: Parameters<Http2SessionManager["request"]>): Promise<ClientHttp2Stream> {
    const stream = await super.request(...args);
    const { session } = stream;
    if (session !== this.#guarded) session?.on("error", ignoreError);
    this.#guarded = session;
    return stream;
  }

  /** Notes that a stream has brought something: its connection lives. Often enough for that, for noting restarts a timer. */
  heard(stream: ClientHttp2Stream): void {
    const nowMs = performance.now();
    if (nowMs - this.#heardAtMs < this.#quietMs) return;
    this.#heardAtMs = nowMs;
    this.notifyResponseByteRead(stream);
  }
}
