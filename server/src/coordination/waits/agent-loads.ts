import { type AgentLoad, noLoad } from "../../registry/agent-state.js";
import type { WaitRecord } from "../../state/wait-record.js";
import { conditionStates, waitState } from "./condition-state.js";
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
  /** Since when; undefined where the wait is about to end: it asks for nothing any more. */
  readonly sinceMs: number | undefined;
}

/** What open waits say of each agent that has to do with one. */
export function agentLoads(world: WaitWorld): ReadonlyMap<string, AgentLoad> {
  if (world.waits.length === 0) return new Map();
  const loads = new Map<string, Load>();
  const providers = new ProviderFinder(world);
  const waits = world.waits.filter(({ independent }) => !independent);
  const edges = waits.flatMap((wait) => edgesOf(wait, world, providers));
  for (const wait of waits) noteWaiter(loads, wait);
  for (const edge of edges) noteAwaited(loads, edge);
  spreadProgress(loads, edges, world);
  return loads;
}

/**
 * Whom a wait waits for. One whose conditions are met may be seen before its server has ended it: what those who met them have done
 * is then what its agent goes on with.
 */
function edgesOf(wait: WaitRecord, world: WaitWorld, providers: ProviderFinder): readonly Edge[] {
  const states = conditionStates(wait, world);
  const isOver = waitState(wait, states).is !== "pending";
  return wait.conditions.flatMap((condition, index) => {
    if (!isOver && states[index]?.is !== "pending") return [];
    const named: readonly (string | undefined)[] = providers.named(condition) ?? [undefined];
    const sinceMs = isOver ? undefined : wait.startTimeMs;
    return named.map((providerId) => ({ waiterId: wait.agentId, providerId, sinceMs }));
  });
}

function noteWaiter(loads: Map<string, Load>, { agentId, startTimeMs }: WaitRecord): void {
  const load = loadOf(loads, agentId);
  load.waitingSinceMs = Math.min(load.waitingSinceMs ?? startTimeMs, startTimeMs);
}

function noteAwaited(loads: Map<string, Load>, { providerId, sinceMs }: Edge): void {
  if (providerId === undefined || sinceMs === undefined) return;
  const load = loadOf(loads, providerId);
  load.awaitedSinceMs = Math.min(load.awaitedSinceMs ?? sinceMs, sinceMs);
}

/**
 * Gives every waiter the latest progress of those it waits for, and of those that they wait for, and so on. Whoever moved last comes
 * first: what reaches a waiter first is the latest, so nobody is passed twice, in a loop neither.
 */
function spreadProgress(loads: Map<string, Load>, edges: readonly Edge[], world: WaitWorld): void {
  const waitersOf = waitersByProvider(edges);
  const sources = Array.from(waitersOf.keys(), (providerId) => ({
    providerId,
    progressMs: providerId === undefined ? latestProgressMs(world) : ownProgressMs(world, providerId),
  }));
  sources.sort((a, b) => b.progressMs - a.progressMs);
  for (const { providerId, progressMs } of sources) {
    const reached = [providerId];
    for (const reachedId of reached) {
      for (const waiterId of waitersOf.get(reachedId) ?? []) {
        const load = loadOf(loads, waiterId);
        if (load.awaitedProgressMs >= progressMs) continue;
        load.awaitedProgressMs = progressMs;
        reached.push(waiterId);
      }
    }
  }
}

function waitersByProvider(edges: readonly Edge[]): ReadonlyMap<string | undefined, readonly string[]> {
  const waitersOf = new Map<string | undefined, string[]>();
  for (const { waiterId, providerId } of edges) {
    const waiters = waitersOf.get(providerId);
    if (waiters === undefined) waitersOf.set(providerId, [waiterId]);
    else waiters.push(waiterId);
  }
  return waitersOf;
}

function ownProgressMs({ agent, activity }: WaitWorld, agentId: string): number {
  const record = agent(agentId);
  return record === undefined ? 0 : activity.lastProgressMs(record);
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
