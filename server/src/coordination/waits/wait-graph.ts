import { compareWaits, type WaitRecord } from "../../state/wait-record.js";
import { type BlockedAgents, type BlockingWait, findBlockedAgents } from "./blocked-agents.js";
import { type ConditionState, conditionStates, waitState } from "./condition-state.js";
import { ProviderFinder, type Providers } from "./wait-providers.js";
import { type AgentStanding, agentStanding, type WaitWorld, waitingAgents } from "./wait-world.js";

/** A condition that is not met yet, by its place in the wait. */
export interface PendingConditionView extends Providers {
  readonly conditionIndex: number;
}

/** An open wait, and what it comes to. */
export interface WaitView {
  readonly record: WaitRecord;
  readonly pending: readonly PendingConditionView[];
  /** It cannot end as things are, because those who could end it are not there. */
  readonly isOrphan: boolean;
  /** It is part of a loop. */
  readonly isDeadlocked: boolean;
  /** The agents of loops that it waits for without being part of one. */
  readonly blockedBy: readonly string[];
}

/** Who waits for whom. */
export interface WaitGraph {
  /** The oldest first. */
  readonly waits: readonly WaitView[];
  readonly loops: readonly (readonly string[])[];
}

/** How waits stand that could hold each other up. */
export interface WaitAnalysis {
  readonly blocking: readonly BlockingWait[];
  readonly blocked: BlockedAgents;
}

/**
 * Finds out which waits hold up which agents. Whoever has never been seen may yet come, whoever went away or has finished cannot
 * be counted on. With `pessimistic`, nobody who waits for nothing can: what comes of it could come of them going away.
 */
export function analyseWaits(
  world: WaitWorld,
  waits: readonly WaitRecord[] = world.waits,
  isPessimistic = false,
): WaitAnalysis {
  const providers = new ProviderFinder(world);
  const waiting = waitingAgents(world);
  const blocking = waits.map((wait) => blockingWait(wait, world, providers));
  const isAble = (agentId: string): boolean => {
    const standing = agentStanding(world, agentId, waiting);
    return standing === "unregistered" || (!isPessimistic && (standing === "live" || standing === "waiting"));
  };
  return { blocking, blocked: findBlockedAgents(blocking, isAble) };
}

/**
 * Whether agents can be waiting for each other at all: somebody is named to bring something who waits as well. Costs little beside
 * finding out.
 */
export function mayHoldLoops(world: WaitWorld): boolean {
  const { waits } = world;
  const providers = new ProviderFinder(world);
  const heldUp = new Set<string>();
  for (const { agentId, independent } of waits) if (!independent) heldUp.add(agentId);
  return waits.some(
    ({ conditions, independent }) =>
      !independent &&
      conditions.some((condition) => providers.named(condition)?.some((agentId) => heldUp.has(agentId))),
  );
}

/** Draws the whole picture, for people. */
export function waitGraphOf(world: WaitWorld): WaitGraph {
  const draw = new WaitDrawing(world);
  return { waits: [...world.waits].sort(compareWaits).map((record) => draw.viewOf(record)), loops: draw.loops };
}

/** Draws one wait of it: what others wait for is looked at only as far as this one depends on it. */
export function waitViewOf(world: WaitWorld, record: WaitRecord): WaitView {
  return new WaitDrawing(world).viewOf(record);
}

const nobodyBlocked: BlockedAgents = { stuck: new Map(), loops: [], waitsFor: new Map() };

class WaitDrawing {
  readonly #world: WaitWorld;
  readonly #providers: ProviderFinder;
  readonly #waiting: ReadonlySet<string>;
  readonly #blocked: BlockedAgents;
  readonly #loopOf: ReadonlyMap<string, readonly string[]>;

  constructor(world: WaitWorld) {
    this.#world = world;
    this.#providers = new ProviderFinder(world);
    this.#waiting = waitingAgents(world);
    this.#blocked = mayHoldLoops(world) ? analyseWaits(world).blocked : nobodyBlocked;
    this.#loopOf = new Map(this.#blocked.loops.flatMap((loop) => loop.map((agentId) => [agentId, loop] as const)));
  }

  get loops(): readonly (readonly string[])[] {
    return this.#blocked.loops;
  }

  viewOf(record: WaitRecord): WaitView {
    const states = conditionStates(record, this.#world);
    const pending = pendingConditions(record, states, this.#providers);
    const isDeadlocked = isInLoop(record, this.#blocked);
    const standingOf = (agentId: string) => agentStanding(this.#world, agentId, this.#waiting);
    return {
      record,
      pending,
      isOrphan: isOrphan({ record, states, pending }, standingOf),
      isDeadlocked,
      blockedBy: isDeadlocked ? [] : loopsReached(record, this.#blocked, this.#loopOf),
    };
  }
}

/** How many conditions a wait still needs. */
function missingCount({ needed }: WaitRecord, states: readonly ConditionState[]): number {
  return needed - states.filter(({ is }) => is === "satisfied").length;
}

/** Most waits name nobody, and then it does not matter how they stand: anybody can end them. */
function blockingWait(record: WaitRecord, world: WaitWorld, providers: ProviderFinder): BlockingWait {
  const { waitId, agentId, conditions } = record;
  const ending = { waitId, agentId, holdsUp: !record.independent, needed: 0, alternatives: [] };
  const named = conditions.map((condition) => providers.named(condition));
  if (named.every((agentIds) => agentIds === undefined)) return ending;
  const states = conditionStates(record, world);
  // One that is met, or has failed, is about to end.
  if (waitState(record, states).is !== "pending") return ending;
  const alternatives = named.filter((_, index) => states[index]?.is === "pending");
  return { ...ending, needed: missingCount(record, states), alternatives };
}

function pendingConditions(
  { conditions, agentId }: WaitRecord,
  states: readonly ConditionState[],
  providers: ProviderFinder,
): readonly PendingConditionView[] {
  return conditions.flatMap((condition, conditionIndex) =>
    states[conditionIndex]?.is === "pending" ? { conditionIndex, ...providers.all(condition, agentId) } : [],
  );
}

/** Whether a wait is part of a loop: it waits for an agent that waits for its own. */
export function isInLoop({ agentId, waitId, independent }: WaitRecord, { loops, stuck }: BlockedAgents): boolean {
  if (independent) return false;
  const holders = stuck.get(waitId);
  const loop = holders && loops.find((members) => members.includes(agentId));
  return loop?.some((member) => holders?.has(member)) ?? false;
}

function loopsReached(
  { waitId }: WaitRecord,
  { stuck, waitsFor }: BlockedAgents,
  loopOf: ReadonlyMap<string, readonly string[]>,
): readonly string[] {
  const found = new Set<string>();
  const seen = new Set(stuck.get(waitId));
  for (const agentId of seen) {
    for (const member of loopOf.get(agentId) ?? []) found.add(member);
    for (const next of waitsFor.get(agentId) ?? []) seen.add(next);
  }
  return [...found].sort();
}

const isThere: Readonly<Record<AgentStanding, boolean>> = {
  waiting: true,
  live: true,
  offline: false,
  completed: false,
  failed: false,
  unregistered: false,
};

/** Too few of its conditions have anybody who is there to meet them. */
function isOrphan(
  { record, states, pending }: { record: WaitRecord; states: readonly ConditionState[]; pending: WaitView["pending"] },
  standingOf: (agentId: string) => AgentStanding,
): boolean {
  const open = pending.filter(({ agentIds }) => agentIds.some((agentId) => isThere[standingOf(agentId)])).length;
  return waitState(record, states).is === "pending" && open < missingCount(record, states);
}
