import { uuidv7 } from "uuidv7";
import type { MetricsCollector } from "../../metrics/metrics-collector.js";
import { CoordinationError } from "../../model/coordination-error.js";
import type { SessionState } from "../../state/session-state.js";
import type { WaitConditionRecord, WaitRecord } from "../../state/wait-record.js";
import type { ConditionState } from "./condition-state.js";
import { DeadlockWatch } from "./deadlock-watch.js";
import { endedWait } from "./end-of-wait.js";
import { OpenWait } from "./open-wait.js";
import { openWait } from "./wait-admission.js";
import { plainOperation, type WaitEnvironment } from "./wait-environment.js";
import { tooManyWaits, waitInterrupted } from "./wait-errors.js";
import { waitOwnerLeaseMs } from "./wait-world.js";

/** What to wait for. */
export interface WaitRequest {
  readonly coordinationId: string;
  readonly agentId: string;
  readonly conditions: readonly WaitConditionRecord[];
  readonly mode: WaitRecord["mode"];
  readonly needed: number;
  readonly independent: boolean;
  readonly timeoutMs: number;
}

/** What the waits of this server work with. */
export interface OpenWaitsOptions {
  readonly environment: WaitEnvironment;
  readonly metrics: MetricsCollector;
  readonly maxWaits: number;
  /** Whether other servers have to be told, again and again, that this one is there. */
  readonly isShared: boolean;
}

interface SessionWaits {
  readonly session: SessionState;
  readonly calls: Map<string, OpenWait>;
  readonly watch: DeadlockWatch;
}

const heartbeatIntervalMs = waitOwnerLeaseMs / 4;

/** The calls that wait on this server. */
export class OpenWaits {
  readonly #options: OpenWaitsOptions;
  readonly #sessions = new Map<SessionState, SessionWaits>();
  /** Waits that have ended but are still told to be open, because the store did not take their end. */
  readonly #leftovers = new Map<string, Set<string>>();
  readonly #background = new Set<Promise<void>>();
  readonly #heartbeat: NodeJS.Timeout | undefined;
  #openCount = 0;

  constructor(options: OpenWaitsOptions) {
    this.#options = options;
    if (!options.isShared) return;
    this.#heartbeat = setInterval(() => this.#run(this.#beat()), heartbeatIntervalMs);
    this.#heartbeat.unref();
  }

  get openCount(): number {
    return this.#openCount;
  }

  /**
   * Resolves when enough conditions are met. Rejects with DEPENDENCY_FAILED, DEADLOCK, WAIT_TIMEOUT, TOO_MANY_WAITS,
   * COORDINATION_CLOSED, COORDINATION_NOT_FOUND (it was deleted), SHUTTING_DOWN, and with the signal's reason when the caller
   * has gone.
   */
  waitFor(request: WaitRequest, abort: AbortSignal): Promise<readonly ConditionState[]> {
    return this.hold(request.coordinationId, (session) => this.#wait(session, request, abort));
  }

  /** Counts a call that waits, and keeps its coordination in memory. */
  async hold<T>(coordinationId: string, run: (session: SessionState) => Promise<T>): Promise<T> {
    const { maxWaits, metrics, environment } = this.#options;
    if (environment.isDraining()) throw waitInterrupted();
    if (this.#openCount >= maxWaits) throw tooManyWaits("on this server", maxWaits);
    this.#openCount += 1;
    metrics.setOpenWaits(this.#openCount);
    try {
      return await environment.directory.withCurrent(coordinationId, run);
    } finally {
      this.#openCount -= 1;
      metrics.setOpenWaits(this.#openCount);
    }
  }

  /** Wakes every call: each finds that the server stops. */
  drain(): void {
    for (const session of this.#options.environment.directory.residents()) session.parkedWaits.wakeAll();
  }

  /** Resolves when nothing is on its way. To be called after `drain`. */
  async close(): Promise<void> {
    clearInterval(this.#heartbeat);
    while (this.#background.size > 0) await Promise.all(this.#background);
  }

  async #wait(session: SessionState, request: WaitRequest, abort: AbortSignal): Promise<readonly ConditionState[]> {
    const wait = this.#recordOf(request);
    const call = new OpenWait({ environment: this.#options.environment, session, wait, abort });
    const waits = this.#join(session, call);
    try {
      const states = await call.run();
      this.#noteEnd(session, call, undefined);
      return states;
    } catch (error) {
      this.#noteEnd(session, call, error);
      throw error;
    } finally {
      this.#leave(waits, call);
    }
  }

  /** Keeps for those who look back that somebody waited, and that somebody was not allowed to. */
  #noteEnd(session: SessionState, call: OpenWait, error: unknown): void {
    const isRefusedLoop = error instanceof CoordinationError && error.reason === "DEADLOCK";
    if (session.header === undefined || !(call.hasWaited || isRefusedLoop)) return;
    const { current: wait, states } = call;
    session.endedWaits.add(endedWait({ wait, states, error, nowMs: this.#options.environment.clock.nowMs() }));
  }

  #recordOf({ agentId, conditions, mode, needed, independent, timeoutMs }: WaitRequest): WaitRecord {
    const { clock, owner } = this.#options.environment;
    const startTimeMs = clock.nowMs();
    return {
      waitId: uuidv7(),
      agentId,
      conditions,
      mode,
      needed,
      independent,
      startTimeMs,
      expireTimeMs: startTimeMs + timeoutMs,
      owner,
      matched: {},
    };
  }

  #join(session: SessionState, call: OpenWait): SessionWaits {
    const known = this.#sessions.get(session);
    const calls = known?.calls ?? new Map<string, OpenWait>();
    calls.set(call.wait.waitId, call);
    if (known !== undefined) return known;
    const watch = new DeadlockWatch({
      environment: this.#options.environment,
      session,
      onLoop: ({ waitId }, error) => calls.get(waitId)?.fail(error),
    });
    const waits = { session, calls, watch };
    this.#sessions.set(session, waits);
    return waits;
  }

  #leave({ session, calls, watch }: SessionWaits, { wait: { waitId }, isShownOpen }: OpenWait): void {
    calls.delete(waitId);
    if (isShownOpen) this.#run(this.#remove(session.coordinationId, [waitId]));
    if (calls.size > 0) return;
    this.#sessions.delete(session);
    this.#run(watch.close());
  }

  async #remove(coordinationId: string, waitIds: readonly string[]): Promise<void> {
    const { directory, owner, onBackgroundError } = this.#options.environment;
    try {
      await directory.execute(
        coordinationId,
        plainOperation((draft) => {
          for (const waitId of waitIds) draft.waits.remove(waitId);
          for (const wait of draft.waits.all()) if (wait.owner === owner) return;
          draft.waits.putOwner(owner, undefined);
        }),
      );
      this.#leftovers.delete(coordinationId);
    } catch (error) {
      onBackgroundError(error);
      if (!this.#options.isShared) return;
      const left = this.#leftovers.get(coordinationId) ?? new Set();
      for (const waitId of waitIds) left.add(waitId);
      this.#leftovers.set(coordinationId, left);
    }
  }

  /** Says that this server is there, and puts right what others see of its waits. */
  async #beat(): Promise<void> {
    for (const [coordinationId, waitIds] of [...this.#leftovers]) await this.#remove(coordinationId, [...waitIds]);
    await Promise.all(Array.from(this.#sessions.values(), (waits) => this.#renew(waits)));
  }

  async #renew({ session, calls }: SessionWaits): Promise<void> {
    const { directory, owner, onBackgroundError } = this.#options.environment;
    try {
      await directory.execute(
        session.coordinationId,
        plainOperation((draft) => {
          if (draft.header === undefined) return;
          for (const { wait, isAdmitted } of calls.values()) {
            if (isAdmitted && draft.waits.get(wait.waitId) === undefined) openWait(draft, wait);
          }
          draft.waits.putOwner(owner, draft.nowMs);
        }),
      );
    } catch (error) {
      onBackgroundError(error);
    }
  }

  #run(work: Promise<void>): void {
    const tracked = work.finally(() => this.#background.delete(tracked));
    this.#background.add(tracked);
  }
}
