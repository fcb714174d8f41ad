import type { Clock } from "../model/clock.js";
import type { AgentRecord } from "./agent-record.js";
import type { Draft } from "./draft.js";
import { type Operation, plainOperation } from "./operation.js";
import type { SessionState } from "./session-state.js";

/*
 * An agent counts as heard of while a subscription or a wait of it is open. Where several servers share a store, the others know of
 * that only by its record, and a lease may be shorter than the pause between two flushes. So the records of agents with such leases
 * are renewed while they are here, at a quarter of the lease: in one commit for a coordination, however many they are.
 */

/** What leases are kept with. */
export interface LeaseKeeperOptions {
  readonly clock: Clock;
  readonly execute: (coordinationId: string, operation: Operation<void>) => Promise<void>;
  /** Told when leases could not be renewed, once until they can be again; the next beat tries again. */
  readonly onFailed: (error: unknown) => void;
}

interface Beat {
  /** On the monotonic clock. */
  readonly dueMs: number;
  readonly timer: NodeJS.Timeout;
}

/** Longer leases are renewed in time by the flush. */
const longestKeptLeaseMs = 20_000;
/** A quarter of the shortest lease: a coordination has no more beats than one in this time. */
const leastPauseMs = 25;

/** Renews the leases of agents with open subscriptions or waits on this server, for the other servers to see. */
export class LeaseKeeper {
  readonly #options: LeaseKeeperOptions;
  readonly #beats = new Map<SessionState, Beat>();
  /** Those whose beat is on its way to the store. */
  readonly #beating = new Set<SessionState>();
  #isFailing = false;
  #isClosed = false;

  constructor(options: LeaseKeeperOptions) {
    this.#options = options;
  }

  /** Notes an agent that is here, by its record: its lease is kept from now on, until it is not here any more. */
  keep(session: SessionState, record: AgentRecord): void {
    const stepMs = stepMsOf(record);
    if (stepMs === undefined) return;
    const dueInMs = record.lastHeartbeatMs + stepMs - this.#options.clock.nowMs();
    this.#beatIn(session, Math.min(stepMs, Math.max(leastPauseMs, dueInMs)));
  }

  /** Renews nothing any more. */
  close(): void {
    this.#isClosed = true;
    for (const { timer } of this.#beats.values()) clearTimeout(timer);
    this.#beats.clear();
  }

  #beatIn(session: SessionState, delayMs: number): void {
    const dueMs = this.#options.clock.monotonicMs() + delayMs;
    const planned = this.#beats.get(session);
    if (this.#isClosed || (planned !== undefined && planned.dueMs <= dueMs)) return;
    clearTimeout(planned?.timer);
    const timer = setTimeout(() => void this.#beat(session), delayMs);
    timer.unref();
    this.#beats.set(session, { dueMs, timer });
  }

  async #beat(session: SessionState): Promise<void> {
    this.#beats.delete(session);
    const pauseMs = leastStepMs(session);
    if (pauseMs === undefined) return;
    this.#beatIn(session, pauseMs);
    if (this.#beating.has(session)) return;
    this.#beating.add(session);
    try {
      const renew = plainOperation((draft: Draft) => renewPresent(draft, pauseMs));
      await this.#options.execute(session.coordinationId, renew);
      this.#isFailing = false;
    } catch (error) {
      if (!this.#isFailing) this.#options.onFailed(error);
      this.#isFailing = true;
    } finally {
      this.#beating.delete(session);
    }
  }
}

/** Renews those that would be overdue before the next beat. */
function renewPresent(draft: Draft, pauseMs: number): void {
  for (const agentId of draft.activity.present()) {
    const record = draft.agent(agentId);
    const stepMs = record && stepMsOf(record);
    if (record === undefined || stepMs === undefined) continue;
    if (draft.nowMs - record.lastHeartbeatMs < stepMs - pauseMs) continue;
    draft.putAgent(draft.activity.renewed(record, draft.nowMs));
  }
}

function leastStepMs({ activity, agents }: SessionState): number | undefined {
  let leastMs: number | undefined;
  for (const agentId of activity.present()) {
    const record = agents.get(agentId);
    const stepMs = record && stepMsOf(record);
    if (stepMs !== undefined) leastMs = Math.min(leastMs ?? stepMs, stepMs);
  }
  return leastMs;
}

/** After how long the record of an agent that is here is renewed; undefined where the flush does so. */
function stepMsOf({ isRegistered, leaseMs }: AgentRecord): number | undefined {
  return isRegistered && leaseMs < longestKeptLeaseMs ? leaseMs / 4 : undefined;
}
