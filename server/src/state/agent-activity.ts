import type { AgentRecord } from "./agent-record.js";

/** What the activity of agents is noted for. */
export interface AgentActivityOptions {
  /** How long an agent may make no progress before anybody counts it as stalled, in milliseconds; by default for ever. */
  readonly leastStallMs?: number | undefined;
  /** Told of an agent whose first subscription or wait is opened. */
  readonly onPresent?: (agentId: string) => void;
}

interface Activity {
  heardMs: number;
  progressMs: number;
}

/**
 * When agents were last heard of, ahead of what the journal says: writing a record for every signal would double what a
 * signal costs, so a renewal reaches the journal only when it has become a sizeable part of the lease, or of the time after which an
 * agent counts as stalled: an eighth of either.
 */
export class AgentActivity {
  readonly #byAgent = new Map<string, Activity>();
  readonly #openSubscriptions = new Map<string, number>();
  readonly #progressStepMs: number;

  readonly #onPresent: ((agentId: string) => void) | undefined;

  constructor({ leastStallMs = Number.POSITIVE_INFINITY, onPresent }: AgentActivityOptions = {}) {
    this.#progressStepMs = leastStallMs / 8;
    this.#onPresent = onPresent;
  }

  /** Notes that an agent was heard of, and whether its work moved. */
  note(agentId: string, nowMs: number, moved: boolean): void {
    const activity = this.#byAgent.get(agentId) ?? { heardMs: 0, progressMs: 0 };
    activity.heardMs = Math.max(activity.heardMs, nowMs);
    if (moved) activity.progressMs = Math.max(activity.progressMs, nowMs);
    this.#byAgent.set(agentId, activity);
  }

  subscriptionOpened(agentId: string): void {
    const before = this.#openSubscriptions.get(agentId) ?? 0;
    this.#openSubscriptions.set(agentId, before + 1);
    if (before === 0) this.#onPresent?.(agentId);
  }

  /** Whether a subscription or a wait of the agent is open here. */
  isPresent(agentId: string): boolean {
    return this.#openSubscriptions.has(agentId);
  }

  /** The agents with open subscriptions or waits here, known or not. */
  present(): Iterable<string> {
    return this.#openSubscriptions.keys();
  }

  /** An agent counts as heard of for as long as one of its subscriptions is open. */
  subscriptionClosed(agentId: string): void {
    const left = (this.#openSubscriptions.get(agentId) ?? 0) - 1;
    if (left > 0) this.#openSubscriptions.set(agentId, left);
    else this.#openSubscriptions.delete(agentId);
  }

  lastHeardMs(record: AgentRecord, nowMs: number): number {
    if (this.#openSubscriptions.has(record.agentId)) return nowMs;
    return Math.max(record.lastHeartbeatMs, this.#byAgent.get(record.agentId)?.heardMs ?? 0);
  }

  lastProgressMs(record: AgentRecord): number {
    return Math.max(record.lastProgressMs, this.#byAgent.get(record.agentId)?.progressMs ?? 0);
  }

  /** Whether progress at a time is due in the journal: where only this server knew of it, others would call the agent stalled. */
  isProgressDue(record: AgentRecord, progressMs: number): boolean {
    return progressMs - record.lastProgressMs >= this.#progressStepMs;
  }

  /** Whether anything of an agent is due in the journal. What has moved does not stay behind for longer than a step. */
  isDue(record: AgentRecord, nowMs: number): boolean {
    if (isRenewalDue(record, this.lastHeardMs(record, nowMs))) return true;
    return this.isProgressDue(record, nowMs) && this.lastProgressMs(record) > record.lastProgressMs;
  }

  /** The agent's record with what is known ahead of it. */
  renewed(record: AgentRecord, nowMs: number): AgentRecord {
    const lastHeartbeatMs = this.lastHeardMs(record, nowMs);
    return { ...record, lastHeartbeatMs, lastProgressMs: this.lastProgressMs(record) };
  }

  /** Drops what is known of an agent that has left. */
  forget(agentId: string): void {
    this.#byAgent.delete(agentId);
  }

  /** Drops what is known of agents that no record speaks of, so that passing readers leave nothing behind. */
  keepOnly(isKept: (agentId: string) => boolean): void {
    for (const agentId of this.#byAgent.keys()) {
      if (!isKept(agentId)) this.#byAgent.delete(agentId);
    }
  }
}

/** Whether a renewal is due in the journal: an eighth of the lease has passed since the last one written. */
export function isRenewalDue(record: AgentRecord, heardMs: number): boolean {
  return record.isRegistered && heardMs - record.lastHeartbeatMs >= record.leaseMs / 8;
}
