import { compileGlob, isGlob } from "../../model/glob.js";
import type { AgentRecord } from "../../state/agent-record.js";
import type { DependencyConditionRecord, WaitConditionRecord } from "../../state/wait-record.js";
import { agentStanding, type WaitWorld, waitingAgents } from "./wait-world.js";

/** Agents that are listed where nobody is named: with very many waits, all of them each time would be too much. */
const maxListedAgents = 100;

/** Who could meet a condition. */
export interface Providers {
  /** The agents; where nobody is named, at most 100 of those that are alive now. */
  readonly agentIds: readonly string[];
  /** Nothing says who has to: an agent that has yet to come could as well. */
  readonly anyone: boolean;
}

interface Provision {
  readonly agentId: string;
  readonly matches: (dependencyType: string, dependencyId: string) => boolean;
}

const provisionsByRecord = new WeakMap<AgentRecord, readonly Provision[]>();

/**
 * Finds out who could bring what is waited for: those whom the condition names, else those whose registration provides it, else
 * anybody. Looks at all agents at most once, and only if it has to.
 */
export class ProviderFinder {
  readonly #world: WaitWorld;
  #provisions: readonly Provision[] | undefined;
  #live: readonly string[] | undefined;

  constructor(world: WaitWorld) {
    this.#world = world;
  }

  /** The agents that have to meet a condition; undefined where nobody is named. */
  named(condition: WaitConditionRecord): readonly string[] | undefined {
    const named = agentsNamedIn(condition);
    switch (condition.kind) {
      case "agent":
        return named;
      case "dependency":
        return named.length > 0 ? named : this.#providing(condition);
      case "signal":
        return named.length > 0 && named.length === condition.senders.length ? named : undefined;
    }
  }

  /** Everybody who could meet a condition; `waiterId` is not asked to meet what nobody is named for. */
  all(condition: WaitConditionRecord, waiterId: string): Providers {
    const named = this.named(condition);
    if (named !== undefined) return { agentIds: named, anyone: false };
    const tests = condition.kind === "signal" ? condition.senders.map(compileGlob) : [];
    const agentIds: string[] = [];
    for (const agentId of this.#liveAgents()) {
      if (agentIds.length === maxListedAgents) break;
      if (agentId === waiterId) continue;
      if (tests.length === 0 || tests.some((matches) => matches(agentId))) agentIds.push(agentId);
    }
    return { agentIds, anyone: true };
  }

  #providing({ dependencyType, dependencyId }: DependencyConditionRecord): readonly string[] | undefined {
    this.#provisions ??= Array.from(this.#world.agents()).flatMap(provisionsOf);
    const providers = new Set<string>();
    for (const { agentId, matches } of this.#provisions) {
      if (!providers.has(agentId) && matches(dependencyType, dependencyId)) providers.add(agentId);
    }
    return providers.size === 0 ? undefined : [...providers];
  }

  #liveAgents(): readonly string[] {
    if (this.#live !== undefined) return this.#live;
    const waiting = waitingAgents(this.#world);
    const live = new Set(waiting);
    for (const { agentId } of this.#world.agents()) {
      if (agentStanding(this.#world, agentId, waiting) === "live") live.add(agentId);
    }
    this.#live = [...live].sort();
    return this.#live;
  }
}

/** The agents that a condition itself names. A glob names none: it may stand for senders that nobody has seen yet. */
export function agentsNamedIn(condition: WaitConditionRecord): readonly string[] {
  switch (condition.kind) {
    case "agent":
      return [condition.agentId];
    case "dependency":
      return condition.expectedFrom;
    case "signal":
      return condition.senders.filter((sender) => !isGlob(sender));
  }
}

function provisionsOf(record: AgentRecord): readonly Provision[] {
  if (!record.isRegistered || record.provides.length === 0) return [];
  const known = provisionsByRecord.get(record);
  if (known !== undefined) return known;
  const provisions = record.provides.map(({ dependencyType, dependencyId }) => {
    const isType = compileGlob(dependencyType);
    const isId = compileGlob(dependencyId);
    return { agentId: record.agentId, matches: (type: string, id: string) => isType(type) && isId(id) };
  });
  provisionsByRecord.set(record, provisions);
  return provisions;
}
