import type { ServerHttp2Session } from "node:http2";
import type { Socket } from "node:net";
import type { PortLimits } from "./port-limits.js";

/** Why a connection was ended by the server; the word that is logged. */
export type EndOfConnection = "preface timeout" | "idle timeout" | "keepalive timeout";

/** One client's connection, what is open on it and when it was last alive. */
export class Connection {
  readonly socket: Socket;
  readonly #openedMs: number;
  #session: ServerHttp2Session | undefined;
  #spoken = false;
  #openCalls = 0;
  #idleSinceMs: number;
  #pingSentMs: number | undefined;
  #lastHeardMs: number;

  constructor(socket: Socket, nowMs: number) {
    this.socket = socket;
    this.#openedMs = nowMs;
    this.#idleSinceMs = nowMs;
    this.#lastHeardMs = nowMs;
  }

  /** Calls that are open now. */
  get openCalls(): number {
    return this.#openCalls;
  }

  /** Notes that it speaks HTTP/2. It has spoken when its settings arrive. */
  setSession(session: ServerHttp2Session): void {
    this.#session = session;
    session.once("remoteSettings", () => {
      this.#spoken = true;
    });
  }

  callOpened(): void {
    this.#spoken = true;
    this.#openCalls += 1;
  }

  callClosed(nowMs: number): void {
    this.#openCalls -= 1;
    this.#idleSinceMs = nowMs;
  }

  /**
   * Ends the connection when one of its times is up, and asks an HTTP/2 peer that has been silent whether it is there.
   * Returns why it was ended, or `undefined`.
   */
  check(nowMs: number, limits: PortLimits): EndOfConnection | undefined {
    if (!this.#spoken && nowMs - this.#openedMs >= limits.prefaceTimeoutMs) {
      this.destroy();
      return "preface timeout";
    }
    if (this.#openCalls === 0 && nowMs - this.#idleSinceMs >= limits.idleTimeoutMs) {
      this.#endIdle();
      return "idle timeout";
    }
    if (this.#pingSentMs !== undefined && nowMs - this.#pingSentMs >= limits.keepaliveTimeoutMs) {
      this.destroy();
      return "keepalive timeout";
    }
    if (this.#pingSentMs === undefined && nowMs - this.#lastHeardMs >= limits.keepaliveIntervalMs) this.#ping(nowMs);
    return undefined;
  }

  /** Lets open calls end and takes no more: GOAWAY over HTTP/2; over HTTP/1.1 the socket ends once it is without a call. */
  close(): void {
    if (this.#session !== undefined) this.#session.close();
    else if (this.#openCalls === 0) this.socket.destroySoon();
  }

  /** Ends everything on it at once. */
  destroy(): void {
    this.#session?.destroy();
    this.socket.destroy();
  }

  #endIdle(): void {
    // A GOAWAY tells the peer to repeat elsewhere what it sends in this moment; one that does not read it gets no second.
    if (this.#session === undefined || this.#session.closed) this.destroy();
    else this.#session.close();
  }

  /**
   * Also ends what Node.js would keep forever: after a fault in a client's HTTP/2 it reads that connection no more and does
   * not close it, so that the ping stays unanswered.
   */
  #ping(nowMs: number): void {
    const session = this.#session;
    if (session === undefined || session.destroyed || session.closed) return;
    this.#pingSentMs = nowMs;
    session.ping((error) => {
      if (error !== null) return;
      this.#pingSentMs = undefined;
      this.#lastHeardMs = nowMs;
    });
  }
}
