import { WakeRound } from "../../delivery/wake-round.js";
import type { MetricsCollector } from "../../metrics/metrics-collector.js";
import type { Operation } from "../../state/operation.js";
import type { SessionState } from "../../state/session-state.js";
import { HeldWait, type HeldWaitEnvironment } from "./held-wait.js";
import type { WaitCall, WaitSink } from "./wait-call.js";
import { WaitCount } from "./wait-count.js";
import type { WaitEnvironment } from "./wait-environment.js";
import type { WaitRequest } from "./wait-request.js";
import { type ShownWait, WaitsBySession } from "./waits-by-session.js";

/** What the waits of this server work with. */
export interface OpenWaitsOptions {
  readonly environment: WaitEnvironment;
  readonly metrics: MetricsCollector;
  readonly maxWaits: number;
}

/** The calls that wait on this server. */
export class OpenWaits {
  readonly #environment: HeldWaitEnvironment;

  constructor({ environment, metrics, maxWaits }: OpenWaitsOptions) {
    this.#environment = {
      ...environment,
      round: new WakeRound(),
      count: new WaitCount({ maxWaits, metrics, isDraining: environment.isDraining }),
      sessions: new WaitsBySession(environment),
    };
  }

  get openCount(): number {
    return this.#environment.count.openCount;
  }

  /**
   * Waits until enough conditions are met. The sink is told so, or else of DEPENDENCY_FAILED, DEADLOCK, WAIT_TIMEOUT,
   * TOO_MANY_WAITS, COORDINATION_CLOSED, COORDINATION_NOT_FOUND (it was deleted), SHUTTING_DOWN, and what the check throws, if
   * there is one: it runs before anything else. Throws nothing; the sink may be told before this returns.
   */
  open(request: WaitRequest, sink: WaitSink, check?: Operation<void>): WaitCall {
    const call = new HeldWait(this.#environment, sink);
    call.begin(request, check);
    return call;
  }

  /** Counts a call that waits for something else, and keeps its coordination in memory. Throws SHUTTING_DOWN, TOO_MANY_WAITS. */
  async hold<T>(coordinationId: string, run: (session: SessionState) => Promise<T>): Promise<T> {
    const { count, directory } = this.#environment;
    count.add();
    try {
      return await directory.withCurrent(coordinationId, run);
    } finally {
      count.remove();
    }
  }

  /** Has others see a wait for as long as something takes; see `WaitsBySession.during`. */
  showDuring<T>(session: SessionState, wait: ShownWait, run: () => Promise<T>): Promise<T> {
    return this.#environment.sessions.during(session, wait, run);
  }

  /** Wakes every call: each finds that the server stops. */
  drain(): void {
    for (const session of this.#environment.directory.residents()) session.parkedWaits.wakeAll();
  }

  /** Resolves when nothing is on its way. To be called after `drain`. */
  close(): Promise<void> {
    return this.#environment.sessions.close();
  }
}
