import { SignalType } from "@coordination-signals/proto/coordination/v1/signal";
import type { LogEntry } from "../model/log-entry.js";
import { dependencyKey } from "./dependency-record.js";

/** What a wait wants to be woken for. */
export interface WaitInterest {
  /** Keys of dependencies. */
  readonly dependencies?: readonly string[];
  /** Agents whose milestones count. */
  readonly agentIds?: readonly string[];
  /** A signal that answers another one. */
  readonly correlationId?: string;
  /** Bit per SignalType of which every signal counts. */
  readonly typeMask?: number;
}

type Wake = () => void;

/**
 * Waits that are open on this server, found by what can end them: a signal that concerns one of a thousand waits costs the
 * others nothing. As with readers of the log, a wake-up says that something may be there, never what.
 */
export class WaitIndex {
  readonly #all = new Set<Wake>();
  /** Most topics have one wait: a set for each of them would be the larger part of what parking costs. */
  readonly #byTopic = new Map<string, Wake | Set<Wake>>();
  readonly #byType = new Map<Wake, number>();
  readonly #watchers = new Set<Wake>();

  get size(): number {
    return this.#all.size;
  }

  /** Has a wait woken whenever something can concern it. The function returned takes it back. */
  park(interest: WaitInterest, wake: Wake): () => void {
    const topics = topicsOf(interest);
    this.#all.add(wake);
    for (const topic of topics) this.#join(topic, wake);
    if (interest.typeMask !== undefined && interest.typeMask !== 0) this.#byType.set(wake, interest.typeMask);
    return () => {
      this.#all.delete(wake);
      this.#byType.delete(wake);
      for (const topic of topics) this.#leave(topic, wake);
    };
  }

  /** Has somebody told whenever who waits for whom may have changed. The function returned takes it back. */
  watchBlocking(listener: () => void): () => void {
    this.#watchers.add(listener);
    return () => void this.#watchers.delete(listener);
  }

  /** Wakes the waits that at least one of these entries can concern. */
  wakeFor(entries: readonly LogEntry[]): void {
    for (const entry of entries) {
      if (this.#all.size === 0) return;
      this.#wakeForEntry(entry);
    }
  }

  /** Wakes every wait: what changed is not a signal. */
  wakeAll(): void {
    for (const wake of [...this.#all]) wake();
  }

  /** Tells the watchers. */
  blockingChanged(): void {
    for (const listener of [...this.#watchers]) listener();
  }

  #wakeForEntry(entry: LogEntry): void {
    const { type, senderAgentId, correlationId } = entry.facts;
    if (correlationId !== "") this.#wakeTopic(correlationTopic(correlationId));
    if (type === SignalType.DEPENDENCY_RESOLVED) this.#wakeForDependency(entry);
    else if (type !== SignalType.INTER_AGENT_MESSAGE) this.#wakeTopic(agentTopic(senderAgentId));
    if (this.#byType.size === 0) return;
    const typeBit = 1 << type;
    for (const [wake, typeMask] of [...this.#byType]) if ((typeMask & typeBit) !== 0) wake();
  }

  #wakeForDependency({ signal: { event } }: LogEntry): void {
    if (event.case !== "dependencyResolved") return;
    this.#wakeTopic(dependencyTopic(dependencyKey(event.value.dependencyType, event.value.dependencyId)));
  }

  #wakeTopic(topic: string): void {
    const group = this.#byTopic.get(topic);
    if (!(group instanceof Set)) group?.();
    else for (const wake of [...group]) wake();
  }

  #join(topic: string, wake: Wake): void {
    const group = this.#byTopic.get(topic);
    if (group === undefined) this.#byTopic.set(topic, wake);
    else if (group instanceof Set) group.add(wake);
    else this.#byTopic.set(topic, new Set([group, wake]));
  }

  #leave(topic: string, wake: Wake): void {
    const group = this.#byTopic.get(topic);
    if (group instanceof Set) group.delete(wake);
    if (group === wake || (group instanceof Set && group.size === 0)) this.#byTopic.delete(topic);
  }
}

function topicsOf({ dependencies = [], agentIds = [], correlationId }: WaitInterest): readonly string[] {
  const topics: string[] = [];
  for (const key of dependencies) topics.push(dependencyTopic(key));
  for (const agentId of agentIds) topics.push(agentTopic(agentId));
  if (correlationId !== undefined) topics.push(correlationTopic(correlationId));
  return topics;
}

function dependencyTopic(key: string): string {
  return `d ${key}`;
}

function agentTopic(agentId: string): string {
  return `a ${agentId}`;
}

function correlationTopic(correlationId: string): string {
  return `c ${correlationId}`;
}
