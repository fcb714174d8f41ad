import { describe, expect, test } from "@jest/globals";
import fc from "fast-check";
import { type BlockingWait, findBlockedAgents, pathBack } from "../../server/src/coordination/waits/blocked-agents.js";

/*
 * The oracle knows nothing of fixpoints and components. It plays: an agent whose blocking waits can all end may act, and it tries
 * every set of agents that could be the ones who never act. The largest set in which every member has a wait that cannot end
 * without a member are those who are stuck. A loop is told by walking from an agent along those it waits for.
 */

const agents: readonly string[] = ["a", "b", "c", "d", "e"];

const someAgents = fc.uniqueArray(fc.constantFrom(...agents), { minLength: 1, maxLength: 3 });
const wait = fc
  .record({
    agentId: fc.constantFrom(...agents),
    alternatives: fc.array(fc.option(someAgents, { nil: undefined, freq: 6 }), { minLength: 1, maxLength: 3 }),
    needed: fc.integer({ min: 0, max: 3 }),
    independent: fc.integer({ min: 0, max: 5 }).map((dice) => dice === 0),
  })
  .map(({ needed, independent, ...rest }) => ({
    ...rest,
    holdsUp: !independent,
    needed: Math.min(needed, rest.alternatives.length),
  }));
const graph = fc.record({
  waits: fc
    .array(wait, { maxLength: 7 })
    .map((waits) => waits.map((each, index) => ({ ...each, waitId: `w${index}` }))),
  able: fc.subarray([...agents]),
});

interface Graph {
  readonly waits: readonly BlockingWait[];
  readonly able: readonly string[];
}

/** Whether a wait can end when nobody of a set ever acts. */
function canEndWithout({ alternatives, needed }: BlockingWait, idle: ReadonlySet<string>): boolean {
  const met = alternatives.filter((providers) => providers?.some((provider) => !idle.has(provider)) ?? true);
  return met.length >= needed;
}

/** Whether nobody of a set can ever act if nobody of it does. */
function isClosed({ waits, able }: Graph, idle: ReadonlySet<string>): boolean {
  return [...idle].every((agentId) => {
    const own = waits.filter((each) => each.agentId === agentId && each.holdsUp);
    return own.length === 0 ? !able.includes(agentId) : own.some((each) => !canEndWithout(each, idle));
  });
}

/** All who never act: closed sets can be joined, so the union of all closed sets is the largest one. */
function neverActing(input: Graph): ReadonlySet<string> {
  const union = new Set<string>();
  for (let mask = 0; mask < 2 ** agents.length; mask++) {
    const set = new Set(agents.filter((_, index) => (mask & (1 << index)) !== 0));
    if (isClosed(input, set)) for (const agentId of set) union.add(agentId);
  }
  return union;
}

/** For a stuck wait, the agents it waits for that wait themselves. */
function waitsFor(each: BlockingWait, input: Graph, idle: ReadonlySet<string>): readonly string[] {
  const isWaiter = (agentId: string) => input.waits.some((other) => other.agentId === agentId && other.holdsUp);
  return each.alternatives
    .filter((providers) => providers?.every((provider) => idle.has(provider)))
    .flatMap((providers) => providers ?? [])
    .filter(isWaiter);
}

/** The agents that an agent waits for, directly or not. */
function reached(from: string, input: Graph, idle: ReadonlySet<string>): ReadonlySet<string> {
  const seen = new Set<string>();
  const visit = (agentId: string): void => {
    for (const each of input.waits) {
      if (each.agentId !== agentId || !each.holdsUp || canEndWithout(each, idle)) continue;
      for (const next of waitsFor(each, input, idle)) {
        if (seen.has(next)) continue;
        seen.add(next);
        visit(next);
      }
    }
  };
  visit(from);
  return seen;
}

function expectedLoops(input: Graph, idle: ReadonlySet<string>): readonly string[] {
  const loops = new Set<string>();
  for (const agentId of agents) {
    const ahead = reached(agentId, input, idle);
    if (!ahead.has(agentId)) continue;
    const loop = [...ahead].filter((other) => reached(other, input, idle).has(agentId));
    loops.add(loop.sort().join(" "));
  }
  return [...loops].sort();
}

describe("findBlockedAgents", () => {
  test("says of small graphs what trying out every set of agents says", () => {
    fc.assert(
      fc.property(graph, (input) => {
        const found = findBlockedAgents(input.waits, (agentId) => input.able.includes(agentId));
        const idle = neverActing(input);
        const stuck = input.waits.filter((each) => !canEndWithout(each, idle)).map(({ waitId }) => waitId);
        expect([...found.stuck.keys()]).toEqual(stuck);
        expect(found.loops.map((loop) => loop.join(" ")).sort()).toEqual(expectedLoops(input, idle));
      }),
      { numRuns: 3_000 },
    );
  });

  test("names a path for every loop: each agent on it waits for the next one, and no shorter way leads back", () => {
    fc.assert(
      fc.property(graph, (input) => {
        const { loops, waitsFor: edges } = findBlockedAgents(input.waits, (agentId) => input.able.includes(agentId));
        for (const agentId of loops.flat()) {
          const path = pathBack(agentId, edges.get(agentId) ?? [], edges) ?? [];
          expect(path[0]).toBe(agentId);
          expect(path.at(-1)).toBe(agentId);
          for (const [index, next] of path.slice(1).entries()) expect(edges.get(path[index] ?? "")).toContain(next);
          expect(new Set(path).size).toBe(path.length - 1);
        }
      }),
      { numRuns: 500 },
    );
  });

  test("is quick about a chain and a loop of ten thousand agents", () => {
    const chain = Array.from({ length: 10_000 }, (_, index) => ({
      waitId: `w${index}`,
      agentId: `a${index}`,
      holdsUp: true,
      needed: 1,
      alternatives: [[`a${index + 1}`]],
    }));
    expect(findBlockedAgents(chain, () => true).stuck.size).toBe(0);
    const closing = { waitId: "last", agentId: "a10000", holdsUp: true, needed: 1, alternatives: [["a0"]] };
    const { loops } = findBlockedAgents([...chain, closing], () => true);
    expect(loops.map((loop) => loop.length)).toEqual([10_001]);
  });
});
