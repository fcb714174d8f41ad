import type { AgentRecord } from "../../state/agent-record.js";
import { conditionStates } from "./condition-state.js";
import { ProviderFinder } from "./wait-providers.js";
import type { WaitWorld } from "./wait-world.js";

/** Why an agent has not reported: nothing is known of it, it has sent nothing, or it has not completed since it began. */
export type UnreportedKind = "neverSeen" | "silent" | "unfinished";

/** An agent that others would like to hear of. */
export interface UnreportedAgent {
  readonly agentId: string;
  readonly kind: UnreportedKind;
  /** The agents whose open waits name it. */
  readonly awaitedBy: readonly string[];
}

const order: readonly UnreportedKind[] = ["neverSeen", "silent", "unfinished"];

/**
 * The agents that are registered, or that an open wait names for something that is still missing, and have not completed: those of
 * which least is known first. An agent that has deregistered and for whom nobody waits is expected no more.
 */
export function unreportedAgents(world: WaitWorld): readonly UnreportedAgent[] {
  const awaited = awaitedAgents(world);
  const unreported: UnreportedAgent[] = [];
  for (const record of world.agents()) {
    if (record.isRegistered && !awaited.has(record.agentId)) awaited.set(record.agentId, new Set());
  }
  for (const [agentId, waiters] of awaited) {
    const kind = kindOf(world.agent(agentId));
    if (kind !== undefined) unreported.push({ agentId, kind, awaitedBy: [...waiters].sort() });
  }
  return unreported.sort((a, b) => order.indexOf(a.kind) - order.indexOf(b.kind) || (a.agentId < b.agentId ? -1 : 1));
}

function kindOf(record: AgentRecord | undefined): UnreportedKind | undefined {
  if (record === undefined) return "neverSeen";
  if (record.milestone === "completed" || record.milestone === "failed") return undefined;
  if (record.firstSequence !== undefined) return "unfinished";
  return record.isRegistered ? "silent" : "neverSeen";
}

function awaitedAgents(world: WaitWorld): Map<string, Set<string>> {
  const providers = new ProviderFinder(world);
  const awaited = new Map<string, Set<string>>();
  for (const wait of world.waits) {
    const states = conditionStates(wait, world);
    for (const [index, condition] of wait.conditions.entries()) {
      if (states[index]?.is !== "pending") continue;
      for (const agentId of providers.named(condition) ?? []) {
        awaited.set(agentId, (awaited.get(agentId) ?? new Set()).add(wait.agentId));
      }
    }
  }
  return awaited;
}
