import type { AgentRecord } from "./agent-record.js";

interface Activity {
  heardMs: number;
  progressMs: number;
}

/**
 * When agents were last heard of, ahead of what the journal says: writing a record for every signal would double what a
 * signal costs, so a renewal reaches the journal only when it has become a sizeable part of the lease.
 */
export class AgentActivity {
  readonly #byAgent = new Map<string, Activity>();
  readonly #openSubscriptions = new Map<string, number>();

  /** Notes that an agent was heard of, and whether its work moved. */
  note(agentId: string, nowMs: number, moved: boolean): void {
    const activity = this.#byAgent.get(agentId) ?? { heardMs: 0, progressMs: 0 };
    activity.heardMs = Math.max(activity.heardMs, nowMs);
    if (moved) activity.progressMs = Math.max(activity.progressMs, nowMs);
    this.#byAgent.set(agentId, activity);
  }

  subscriptionOpened(agentId: string): void {
    this.#openSubscriptions.set(agentId, (this.#openSubscriptions.get(agentId) ?? 0) + 1);
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
