import type { CoordinationError } from "../../model/coordination-error.js";
import { maxWaitsPerCoordination } from "../../model/limits.js";
import type { Draft } from "../../state/draft.js";
import type { SessionState } from "../../state/session-state.js";
import { compareWaits, type WaitRecord } from "../../state/wait-record.js";
import { pathBack } from "./blocked-agents.js";
import { conditionStates, waitState } from "./condition-state.js";
import { deadlock, tooManyWaits } from "./wait-errors.js";
import { analyseWaits, isInLoop, mayHoldLoops } from "./wait-graph.js";
import { ProviderFinder } from "./wait-providers.js";
import { isOwnerAlive, type WaitWorld, worldOfDraft } from "./wait-world.js";

/** What became of a wait that was to be opened. */
export type Admission =
  /** It is open. */
  | { readonly is: "open" }
  /** It need not be: what it waits for has just come, or has failed. */
  | { readonly is: "settled" }
  /** It may close a loop; whether it does depends on signals that these waits may have missed so far. */
  | { readonly is: "doubtful"; readonly path: readonly string[]; readonly unsure: readonly WaitRecord[] };

/** What is known of signals that waits ask for, beyond their records: the sequences by condition, and through where it is known. */
export interface SignalEvidence {
  readonly matched: Readonly<Record<string, string>>;
  readonly throughSequence: bigint;
}

/**
 * Whether opening a wait could be refused: there are too many, or it leads back to its agent. Of the others nothing that is on its
 * way to the store can make a loop before it is there, and then loops are looked for.
 */
export function mayBeRefused(wait: WaitRecord, session: SessionState, world: WaitWorld): boolean {
  if (session.waits.size >= maxWaitsPerCoordination) return true;
  return !wait.independent && reachedWaits(wait, world) !== undefined;
}

/** Opens a wait, under the coordination's lock. Throws DEADLOCK when it would close a loop, TOO_MANY_WAITS. */
export function admitWait(draft: Draft, wait: WaitRecord, evidence: ReadonlyMap<string, SignalEvidence>): Admission {
  forgetDeadOwners(draft, wait.owner);
  const world = withEvidence(worldOfDraft(draft, wait.owner), evidence);
  if (waitState(wait, conditionStates(wait, world)).is !== "pending") return { is: "settled" };
  checkRoom(draft, wait.waitId);
  const reached = wait.independent ? undefined : reachedWaits(wait, world);
  const path = reached && loopThrough(wait, world, reached);
  if (reached !== undefined && path !== undefined) {
    const unsure = unsureWaits(reached, { evidence, headSequence: world.headSequence });
    if (unsure.length > 0) return { is: "doubtful", path, unsure };
    throw deadlock(path);
  }
  // A loop can be told later only of a wait that leads back to its agent.
  openWait(draft, wait, reached !== undefined);
  return { is: "open" };
}

/** Checks that one more wait may be open, unless it is already. Throws TOO_MANY_WAITS. */
export function checkRoom(draft: Draft, waitId: string): void {
  if (draft.waits.get(waitId) !== undefined || draft.waits.count < maxWaitsPerCoordination) return;
  throw tooManyWaits(`in coordination "${draft.coordinationId}"`, maxWaitsPerCoordination);
}

/** Opens a wait without asking whether it closes a loop: it was admitted before, or nobody can tell in time. */
export function openWait(draft: Draft, wait: WaitRecord, mayBlock = true): void {
  draft.waits.put(wait, mayBlock);
  draft.waits.putOwner(wait.owner, draft.nowMs);
}

/** What became of a loop that has formed. */
export type BrokenLoop =
  | { readonly is: "broken"; readonly error: CoordinationError }
  /** There is no such loop any more. */
  | { readonly is: "gone" }
  | { readonly is: "doubtful"; readonly unsure: readonly WaitRecord[] };

/** Ends a wait if it is the youngest of a loop. */
export function breakLoop(
  draft: Draft,
  { waitId, owner }: WaitRecord,
  evidence: ReadonlyMap<string, SignalEvidence>,
): BrokenLoop {
  const world = withEvidence(worldOfDraft(draft, owner), evidence);
  const wait = youngestInLoops(world).find((youngest) => youngest.waitId === waitId);
  const path = wait && loopThrough(wait, world, world.waits);
  if (path === undefined) return { is: "gone" };
  const members = new Set(path);
  const involved = world.waits.filter(({ agentId }) => members.has(agentId));
  const unsure = unsureWaits(involved, { evidence, headSequence: world.headSequence });
  if (unsure.length > 0) return { is: "doubtful", unsure };
  draft.waits.remove(waitId);
  return { is: "broken", error: deadlock(path) };
}

/** Of each loop, the wait that began last: it is the one to end. */
export function youngestInLoops(world: WaitWorld): readonly WaitRecord[] {
  if (!mayHoldLoops(world)) return [];
  const { blocked } = analyseWaits(world);
  return blocked.loops.flatMap((loop) => {
    const waits = world.waits.filter((wait) => loop.includes(wait.agentId) && isInLoop(wait, blocked));
    return waits.sort(compareWaits).at(-1) ?? [];
  });
}

/** The order of agents in the loop that a wait is part of; undefined when it is part of none. */
function loopThrough(wait: WaitRecord, world: WaitWorld, waits: readonly WaitRecord[]): readonly string[] | undefined {
  const { blocked } = analyseWaits(world, waits);
  if (!isInLoop(wait, blocked)) return undefined;
  return pathBack(wait.agentId, blocked.stuck.get(wait.waitId) ?? [], blocked.waitsFor);
}

/** The wait and all that it can depend on; undefined when none of it leads back to its agent. */
function reachedWaits(wait: WaitRecord, world: WaitWorld): readonly WaitRecord[] | undefined {
  const providers = new ProviderFinder(world);
  const reached = new Set<string>();
  addNamed(wait, providers, reached);
  if (reached.size === 0) return undefined;
  const waits = [wait];
  for (const agentId of reached) {
    for (const each of world.waitsOf(agentId)) {
      // What an agent waits for beside its work keeps it from nothing.
      if (each.waitId === wait.waitId || each.independent) continue;
      waits.push(each);
      addNamed(each, providers, reached);
    }
  }
  return reached.has(wait.agentId) ? waits : undefined;
}

/** Adds the agents that a wait names to those that were reached. */
function addNamed({ conditions }: WaitRecord, providers: ProviderFinder, reached: Set<string>): void {
  for (const condition of conditions)
    for (const agentId of providers.named(condition) ?? noAgents) reached.add(agentId);
}

const noAgents: readonly string[] = [];

/** The waits that ask for signals which may be there without anybody having looked. */
function unsureWaits(
  waits: readonly WaitRecord[],
  known: { readonly evidence: ReadonlyMap<string, SignalEvidence>; readonly headSequence: bigint },
): readonly WaitRecord[] {
  return waits.filter(
    (wait) =>
      wait.conditions.some(({ kind }, index) => kind === "signal" && wait.matched[index] === undefined) &&
      (known.evidence.get(wait.waitId)?.throughSequence ?? -1n) < known.headSequence,
  );
}

function withEvidence(world: WaitWorld, evidence: ReadonlyMap<string, SignalEvidence>): WaitWorld {
  if (evidence.size === 0) return world;
  const known = (wait: WaitRecord): WaitRecord => {
    const matched = evidence.get(wait.waitId)?.matched;
    return matched === undefined ? wait : { ...wait, matched: { ...wait.matched, ...matched } };
  };
  const { nowMs, headSequence, agent, agents, dependency, activity } = world;
  return {
    ...{ nowMs, headSequence, agent, agents, dependency, activity },
    // All of them only if somebody asks: a thousand open waits cost the next one nothing.
    get waits() {
      return world.waits.map(known);
    },
    waitsOf: (agentId) => world.waitsOf(agentId).map(known),
  };
}

/** Takes out what servers have left behind that are gone. */
function forgetDeadOwners(draft: Draft, owner: string): void {
  const owners = draft.waits.owners();
  const server = { owner, nowMs: draft.nowMs };
  if ([...owners.keys()].every((each) => each === owner)) return;
  const dead = [...draft.waits.all()].filter((wait) => !isOwnerAlive(wait, owners, server));
  for (const { waitId } of dead) draft.waits.remove(waitId);
  for (const each of new Set(dead.map(({ owner: gone }) => gone))) draft.waits.putOwner(each, undefined);
}
