import type { LogEntry } from "../model/log-entry.js";

/** What a reader wants to be woken for. */
export interface ReaderInterest {
  /** The reading agent; empty for an observer, whom everything concerns. */
  readonly agentId: string;
  /** Bit per SignalType. */
  readonly typeMask: number;
  readonly includeOwn: boolean;
}

/** A reader that waits for the log to grow. */
export interface ParkedReader {
  readonly interest: ReaderInterest;
  /**
   * Says that something may be there. Called once; the reader is no longer parked then. Nothing through the sequence, where there is
   * one, concerns the reader of what came since it was parked.
   */
  wake(passedSequence?: bigint): void;
}

/**
 * Readers that wait for the log to grow, found by whom a signal can concern: a signal to one agent costs the others nothing.
 * A wake-up says that something may be there, never what: the reader looks for itself.
 */
export class ReaderIndex {
  /** Most agents have one reader: a set for each of them would be the larger part of what parking costs. */
  readonly #byAgent = new Map<string, ParkedReader | Set<ParkedReader>>();
  #size = 0;

  get size(): number {
    return this.#size;
  }

  /** Parks a reader until it is woken or leaves. */
  park(reader: ParkedReader): void {
    const { agentId } = reader.interest;
    const group = this.#byAgent.get(agentId);
    if (group === reader || (group instanceof Set && group.has(reader))) return;
    if (group === undefined) this.#byAgent.set(agentId, reader);
    else if (group instanceof Set) group.add(reader);
    else this.#byAgent.set(agentId, new Set([group, reader]));
    this.#size += 1;
  }

  /** Takes a reader back that may be parked. */
  leave(reader: ParkedReader): void {
    const { agentId } = reader.interest;
    const group = this.#byAgent.get(agentId);
    if (group === reader) this.#byAgent.delete(agentId);
    else if (!(group instanceof Set && group.delete(reader))) return;
    else if (group.size === 0) this.#byAgent.delete(agentId);
    this.#size -= 1;
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
      if (!(group instanceof Set)) this.#wake(group);
      else for (const reader of [...group]) this.#wake(reader);
    }
  }

  #wakeForEntry(entry: LogEntry): void {
    const { senderAgentId, recipientAgentIds: recipients } = entry.facts;
    if (recipients.length === 0) {
      for (const [agentId, group] of this.#byAgent) {
        this.#wakeGroup(group, entry, agentId !== "" && agentId === senderAgentId);
      }
      return;
    }
    this.#wakeGroup(this.#byAgent.get(""), entry, false);
    for (const agentId of recipients) this.#wakeGroup(this.#byAgent.get(agentId), entry, false);
    if (!recipients.includes(senderAgentId)) {
      this.#wakeGroup(this.#byAgent.get(senderAgentId), entry, true);
    }
  }

  #wakeGroup(group: ParkedReader | Set<ParkedReader> | undefined, entry: LogEntry, isOwn: boolean): void {
    if (group === undefined) return;
    if (!(group instanceof Set)) this.#wakeIfFor(group, entry, isOwn);
    else for (const reader of group) this.#wakeIfFor(reader, entry, isOwn);
  }

  #wakeIfFor(reader: ParkedReader, { facts, sequence }: LogEntry, isOwn: boolean): void {
    const { typeMask, includeOwn } = reader.interest;
    if ((typeMask & (1 << facts.type)) !== 0 && (!isOwn || includeOwn)) this.#wake(reader, sequence - 1n);
  }

  #wake(reader: ParkedReader, passedSequence?: bigint): void {
    this.leave(reader);
    reader.wake(passedSequence);
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
