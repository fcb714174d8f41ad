import { type AgentLoad, noLoad } from "../../registry/agent-state.js";
import type { WaitRecord } from "../../state/wait-record.js";
import { conditionStates } from "./condition-state.js";
import { ProviderFinder } from "./wait-providers.js";
import type { WaitWorld } from "./wait-world.js";

interface Load {
  waitingSinceMs: number | undefined;
  awaitedSinceMs: number | undefined;
  awaitedProgressMs: number;
}

interface Edge {
  readonly waiterId: string;
  /** Whom it waits for; undefined for anybody. */
  readonly providerId: string | undefined;
}

// Progress travels one agent further along a chain of waits with each round.
const maxRounds = 100;

/** What open waits say of each agent that has to do with one. */
export function agentLoads(world: WaitWorld): ReadonlyMap<string, AgentLoad> {
  if (world.waits.length === 0) return new Map();
  const loads = new Map<string, Load>();
  const providers = new ProviderFinder(world);
  const waits = world.waits.filter(({ independent }) => !independent);
  const edges = waits.flatMap((wait) => edgesOf(wait, world, providers));
  for (const wait of waits) noteWaiter(loads, wait);
  for (const { providerId, sinceMs } of edges) if (providerId !== undefined) noteAwaited(loads, providerId, sinceMs);
  spreadProgress(loads, edges, world);
  return loads;
}

function edgesOf(
  wait: WaitRecord,
  world: WaitWorld,
  providers: ProviderFinder,
): (Edge & { readonly sinceMs: number })[] {
  const states = conditionStates(wait, world);
  return wait.conditions.flatMap((condition, index) => {
    if (states[index]?.is !== "pending") return [];
    const named: readonly (string | undefined)[] = providers.named(condition) ?? [undefined];
    return named.map((providerId) => ({ waiterId: wait.agentId, providerId, sinceMs: wait.startTimeMs }));
  });
}

function noteWaiter(loads: Map<string, Load>, { agentId, startTimeMs }: WaitRecord): void {
  const load = loadOf(loads, agentId);
  load.waitingSinceMs = Math.min(load.waitingSinceMs ?? startTimeMs, startTimeMs);
}

function noteAwaited(loads: Map<string, Load>, agentId: string, sinceMs: number): void {
  const load = loadOf(loads, agentId);
  load.awaitedSinceMs = Math.min(load.awaitedSinceMs ?? sinceMs, sinceMs);
}

/** Gives every waiter the latest progress of those it waits for, and of those that they wait for, and so on. */
function spreadProgress(loads: Map<string, Load>, edges: readonly Edge[], world: WaitWorld): void {
  const ownProgressMs = (agentId: string): number => {
    const record = world.agent(agentId);
    return record === undefined ? 0 : world.activity.lastProgressMs(record);
  };
  const anybodyMs = edges.some(({ providerId }) => providerId === undefined) ? latestProgressMs(world) : 0;
  for (let round = 0; round < maxRounds; round++) {
    let hasChanged = false;
    for (const { waiterId, providerId } of edges) {
      const load = loadOf(loads, waiterId);
      const reachedMs =
        providerId === undefined
          ? anybodyMs
          : Math.max(ownProgressMs(providerId), loads.get(providerId)?.awaitedProgressMs ?? 0);
      if (reachedMs <= load.awaitedProgressMs) continue;
      load.awaitedProgressMs = reachedMs;
      hasChanged = true;
    }
    if (!hasChanged) return;
  }
}

function latestProgressMs({ agents, activity }: WaitWorld): number {
  let latestMs = 0;
  for (const record of agents()) latestMs = Math.max(latestMs, activity.lastProgressMs(record));
  return latestMs;
}

function loadOf(loads: Map<string, Load>, agentId: string): Load {
  const load = loads.get(agentId) ?? { ...noLoad };
  loads.set(agentId, load);
  return load;
}
