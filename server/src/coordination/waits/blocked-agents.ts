/*
 * Who can still act while some wait: an AND/OR graph. An agent acts unless one of its waits holds it up (AND over its waits); a
 * wait ends once enough of its conditions are met, each by one of the agents that could meet it (OR over them).
 *
 * The agents that can act are the least fixpoint: those who wait for nothing and are able to, and on from there whoever is let
 * go by them. The others are stuck. Among them, those who wait for each other, directly or not, are a loop: a strongly connected
 * component. A stuck agent in no loop waits for a loop, or for somebody who is not there.
 *
 * Cost: linear in waits and in agents named by their conditions.
 */

/** An open wait, as far as it is about who waits for whom. */
export interface BlockingWait {
  readonly waitId: string;
  readonly agentId: string;
  /** Whether the agent cannot act before it has ended. */
  readonly holdsUp: boolean;
  /** How many of the pending conditions have to be met. */
  readonly needed: number;
  /** For each pending condition, the agents that could meet it; undefined where anybody could. */
  readonly alternatives: readonly (readonly string[] | undefined)[];
}

/** What waits come to. */
export interface BlockedAgents {
  /** The waits that cannot end as things are, and for each the agents that it waits for and that wait themselves. */
  readonly stuck: ReadonlyMap<string, ReadonlySet<string>>;
  /** Agents that wait for each other, each loop sorted by name. */
  readonly loops: readonly (readonly string[])[];
  /** For each agent that is stuck, the stuck agents that it waits for. */
  readonly waitsFor: ReadonlyMap<string, ReadonlySet<string>>;
}

/**
 * Finds the waits that cannot end and the loops among their agents. `isAble` says whether an agent that waits for nothing can
 * act.
 */
export function findBlockedAgents(waits: readonly BlockingWait[], isAble: (agentId: string) => boolean): BlockedAgents {
  const acting = new Acting(waits, isAble);
  const stuckWaits = waits.filter((wait) => !acting.canEnd(wait));
  const waitsFor = new Map<string, Set<string>>();
  for (const { agentId, holdsUp } of stuckWaits) if (holdsUp) waitsFor.set(agentId, new Set());
  const stuck = new Map<string, ReadonlySet<string>>();
  for (const wait of stuckWaits) {
    const holders = new Set(holdersOf(wait, acting).filter((provider) => waitsFor.has(provider)));
    stuck.set(wait.waitId, holders);
    if (wait.holdsUp) for (const holder of holders) waitsFor.get(wait.agentId)?.add(holder);
  }
  return { stuck, loops: loopsOf(waitsFor), waitsFor };
}

/** The agents that a stuck wait waits for; a condition that somebody can meet is not what holds it up. */
function holdersOf({ alternatives }: BlockingWait, acting: Acting): readonly string[] {
  return alternatives.flatMap((providers) =>
    providers === undefined || providers.some((provider) => acting.canAct(provider)) ? [] : providers,
  );
}

/** The shortest way from an agent back to itself, beginning with one of the first steps; undefined when there is none. */
export function pathBack(
  agentId: string,
  firstSteps: Iterable<string>,
  waitsFor: ReadonlyMap<string, ReadonlySet<string>>,
): readonly string[] | undefined {
  const cameFrom = new Map<string, string>();
  const queue: string[] = [];
  const reach = (next: string, from: string): void => {
    if (cameFrom.has(next)) return;
    cameFrom.set(next, from);
    queue.push(next);
  };
  for (const step of firstSteps) reach(step, agentId);
  for (let at = 0; at < queue.length && !cameFrom.has(agentId); at++) {
    const current = queue[at] ?? "";
    for (const next of waitsFor.get(current) ?? []) reach(next, current);
  }
  if (!cameFrom.has(agentId)) return undefined;
  const path = [agentId];
  for (let step = cameFrom.get(agentId); step !== undefined && step !== agentId; step = cameFrom.get(step)) {
    path.push(step);
  }
  return [...path, agentId].reverse();
}

/** The least fixpoint: who can act, found from those who can, each wait looked at once for each agent that it names. */
class Acting {
  readonly #isAble: (agentId: string) => boolean;
  readonly #able = new Map<string, boolean>();
  /** For each wait that has not been found to end, how many pending conditions nobody is known to meet yet, and how many are needed. */
  readonly #missing = new Map<BlockingWait, number>();
  readonly #metConditions = new Map<BlockingWait, Set<number>>();
  readonly #heldUp = new Map<string, number>();
  readonly #namedBy = new Map<string, { readonly wait: BlockingWait; readonly index: number }[]>();
  #freed: string[] = [];

  constructor(waits: readonly BlockingWait[], isAble: (agentId: string) => boolean) {
    this.#isAble = isAble;
    for (const { agentId, holdsUp } of waits) {
      if (holdsUp) this.#heldUp.set(agentId, (this.#heldUp.get(agentId) ?? 0) + 1);
    }
    for (const wait of waits) {
      this.#missing.set(wait, wait.needed);
      this.#metConditions.set(wait, new Set());
    }
    for (const wait of waits) if (wait.needed <= 0) this.#end(wait);
    for (const wait of waits) this.#name(wait);
    for (let at = 0; at < this.#freed.length; at++) this.#free(this.#freed[at] ?? "");
    this.#freed = [];
  }

  /** Whether an agent can act, now or once those who can have acted. */
  canAct(agentId: string): boolean {
    const heldUp = this.#heldUp.get(agentId);
    if (heldUp !== undefined) return heldUp === 0;
    const known = this.#able.get(agentId) ?? this.#isAble(agentId);
    this.#able.set(agentId, known);
    return known;
  }

  canEnd(wait: BlockingWait): boolean {
    return !this.#missing.has(wait);
  }

  #name(wait: BlockingWait): void {
    for (const [index, providers] of wait.alternatives.entries()) {
      if (providers === undefined) {
        this.#meet(wait, index);
        continue;
      }
      for (const provider of providers) {
        if (!this.#heldUp.has(provider) && this.canAct(provider)) this.#meet(wait, index);
        const naming = this.#namedBy.get(provider) ?? [];
        naming.push({ wait, index });
        this.#namedBy.set(provider, naming);
      }
    }
  }

  #free(agentId: string): void {
    for (const { wait, index } of this.#namedBy.get(agentId) ?? []) this.#meet(wait, index);
  }

  #meet(wait: BlockingWait, index: number): void {
    const missing = this.#missing.get(wait);
    const met = this.#metConditions.get(wait);
    if (missing === undefined || met === undefined || met.has(index)) return;
    met.add(index);
    this.#missing.set(wait, missing - 1);
    if (missing - 1 <= 0) this.#end(wait);
  }

  #end(wait: BlockingWait): void {
    if (!this.#missing.delete(wait) || !wait.holdsUp) return;
    const heldUp = (this.#heldUp.get(wait.agentId) ?? 0) - 1;
    this.#heldUp.set(wait.agentId, heldUp);
    if (heldUp === 0) this.#freed.push(wait.agentId);
  }
}

interface Visit {
  readonly agentId: string;
  readonly next: Iterator<string>;
}

/** Strongly connected components with a way back to themselves (Tarjan, without recursion: chains can be long). */
function loopsOf(waitsFor: ReadonlyMap<string, ReadonlySet<string>>): readonly (readonly string[])[] {
  const order = new Map<string, number>();
  const low = new Map<string, number>();
  const open: string[] = [];
  const isOpen = new Set<string>();
  const loops: string[][] = [];
  const visits: Visit[] = [];
  const enter = (agentId: string): void => {
    order.set(agentId, order.size);
    low.set(agentId, order.get(agentId) ?? 0);
    open.push(agentId);
    isOpen.add(agentId);
    visits.push({ agentId, next: (waitsFor.get(agentId) ?? new Set<string>()).values() });
  };
  const lower = (agentId: string, to: number | undefined): void => {
    low.set(agentId, Math.min(low.get(agentId) ?? 0, to ?? Number.POSITIVE_INFINITY));
  };
  const leave = (agentId: string): void => {
    visits.pop();
    const parent = visits.at(-1);
    if (parent !== undefined) lower(parent.agentId, low.get(agentId));
    if (low.get(agentId) !== order.get(agentId)) return;
    const component = open.splice(open.lastIndexOf(agentId));
    for (const member of component) isOpen.delete(member);
    if (component.length > 1 || waitsFor.get(agentId)?.has(agentId)) loops.push(component.sort());
  };
  for (const root of waitsFor.keys()) {
    if (order.has(root)) continue;
    enter(root);
    for (let visit = visits.at(-1); visit !== undefined; visit = visits.at(-1)) {
      const step = visit.next.next();
      if (step.done) leave(visit.agentId);
      else if (!order.has(step.value)) enter(step.value);
      else if (isOpen.has(step.value)) lower(visit.agentId, order.get(step.value));
    }
  }
  return loops;
}
