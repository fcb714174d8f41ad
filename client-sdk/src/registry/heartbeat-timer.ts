import type { Agent } from "@coordination-signals/proto/coordination/v1/agent";
import { CancelledError, type CoordinationClientError, NotFoundError } from "../errors/coordination-client-error.js";
import { errorFromConnect } from "../errors/error-from-connect.js";
import type { OpenResource, OpenResources } from "../open-resources.js";
import type { CancelTimer, Clock } from "../time/clock.js";

/** What became of an automatic heartbeat. */
export type HeartbeatStatus =
  /** The lease is renewed. */
  | { readonly type: "renewed"; readonly agent: Agent }
  /** It failed; the next one comes as usual. */
  | { readonly type: "failed"; readonly error: CoordinationClientError }
  /** The agent is not registered any more: heartbeats have stopped. Register again to go on. */
  | { readonly type: "lost"; readonly error: CoordinationClientError };

/** What a heartbeat is made of. */
export interface HeartbeatTimerOptions {
  /** Time from the end of one heartbeat to the next, in milliseconds. */
  readonly intervalMs: number;
  readonly clock: Clock;
  /** Sends one heartbeat. */
  readonly beat: (signal: AbortSignal) => Promise<Agent>;
  readonly onStatus: (status: HeartbeatStatus) => void;
  readonly open: OpenResources;
}

/** Sends heartbeats one after the other until it is closed. Its timer does not keep the process alive. */
export class HeartbeatTimer implements OpenResource {
  readonly #options: HeartbeatTimerOptions;
  readonly #closing = new AbortController();
  #cancelTimer: CancelTimer | undefined;

  constructor(options: HeartbeatTimerOptions) {
    this.#options = options;
    options.open.add(this);
    this.#arm();
  }

  close(): Promise<void> {
    this.#cancelTimer?.();
    this.#closing.abort();
    this.#options.open.remove(this);
    return Promise.resolve();
  }

  #arm(): void {
    const { clock, intervalMs } = this.#options;
    this.#cancelTimer = clock.startTimer(intervalMs, () => void this.#beat(), "background");
  }

  // Never rejects by itself: what `onStatus` throws is the application's and reaches the process.
  async #beat(): Promise<void> {
    const status = await this.#attempt();
    if (this.#closing.signal.aborted) return;
    if (status.type === "lost") await this.close();
    else this.#arm();
    this.#options.onStatus(status);
  }

  async #attempt(): Promise<HeartbeatStatus> {
    try {
      return { type: "renewed", agent: await this.#options.beat(this.#closing.signal) };
    } catch (thrown) {
      const error = errorFromConnect(thrown);
      const isLost = error instanceof NotFoundError || error instanceof CancelledError;
      return { type: isLost ? "lost" : "failed", error };
    }
  }
}
