import type { LogEntry } from "../model/log-entry.js";

/** What a reader wants to be woken for. */
export interface ReaderInterest {
  /** The reading agent; empty for an observer, whom everything concerns. */
  readonly agentId: string;
  /** Bit per SignalType. */
  readonly typeMask: number;
  readonly includeOwn: boolean;
}

interface ParkedReader {
  readonly interest: ReaderInterest;
  readonly wake: () => void;
}

/**
 * Readers that wait for the log to grow, found by whom a signal can concern: a signal to one agent costs the others nothing.
 * A wake-up says that something may be there, never what: the reader looks for itself.
 */
export class ReaderIndex {
  readonly #byAgent = new Map<string, Set<ParkedReader>>();
  #size = 0;

  get size(): number {
    return this.#size;
  }

  /** Parks a reader until it is woken, once. The function returned takes it back. */
  park(interest: ReaderInterest, wake: () => void): () => void {
    const reader = { interest, wake };
    const group = this.#byAgent.get(interest.agentId) ?? new Set();
    this.#byAgent.set(interest.agentId, group.add(reader));
    this.#size += 1;
    return () => this.#leave(reader);
  }

  /** Wakes the readers that at least one of these entries can concern. */
  wakeFor(entries: readonly LogEntry[]): void {
    for (const entry of entries) {
      if (this.#size === 0) return;
      this.#wakeForEntry(entry);
    }
  }

  /** Wakes everybody: what changed is not a signal. */
  wakeAll(): void {
    for (const group of [...this.#byAgent.values()]) {
      for (const reader of [...group]) this.#wake(reader);
    }
  }

  #wakeForEntry({ facts }: LogEntry): void {
    const { senderAgentId, recipientAgentIds: recipients } = facts;
    const typeBit = 1 << facts.type;
    if (recipients.length === 0) {
      for (const [agentId, group] of this.#byAgent) {
        this.#wakeGroup(group, typeBit, agentId !== "" && agentId === senderAgentId);
      }
      return;
    }
    this.#wakeGroup(this.#byAgent.get(""), typeBit, false);
    for (const agentId of recipients) this.#wakeGroup(this.#byAgent.get(agentId), typeBit, false);
    if (!recipients.includes(senderAgentId)) {
      this.#wakeGroup(this.#byAgent.get(senderAgentId), typeBit, true);
    }
  }

  #wakeGroup(group: Set<ParkedReader> | undefined, typeBit: number, isOwn: boolean): void {
    if (group === undefined) return;
    for (const reader of group) {
      const { interest } = reader;
      if ((interest.typeMask & typeBit) !== 0 && (!isOwn || interest.includeOwn)) this.#wake(reader);
    }
  }

  #wake(reader: ParkedReader): void {
    this.#leave(reader);
    reader.wake();
  }

  #leave(reader: ParkedReader): void {
    const group = this.#byAgent.get(reader.interest.agentId);
    if (!group?.delete(reader)) return;
    this.#size -= 1;
    if (group.size === 0) this.#byAgent.delete(reader.interest.agentId);
  }
}

/** Whether a subscription of an agent gets a signal: broadcasts, what names it, and its own signals only if it wants them. */
export function concerns(interest: ReaderInterest, entry: LogEntry): boolean {
  const { agentId, includeOwn } = interest;
  if (agentId === "") return true;
  const { senderAgentId, recipientAgentIds } = entry.facts;
  if (recipientAgentIds.includes(agentId)) return true;
  if (senderAgentId === agentId) return includeOwn;
  return recipientAgentIds.length === 0;
}
