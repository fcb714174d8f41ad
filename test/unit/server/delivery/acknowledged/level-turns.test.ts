import { expect, test } from "@jest/globals";
import fc from "fast-check";
import { LevelTurns } from "../../../../../server/src/delivery/acknowledged/level-turns.js";
import { levelShareSignals, maxBatchSignals } from "../../../../../server/src/model/limits.js";

const levels = [0, 1, 2, 3];

/** Hands out signals of the levels that wait, each an endless supply unless its count runs out. */
function handOut(turns: LevelTurns, pending: number[], count: number): readonly number[] {
  const handedOut: number[] = [];
  while (handedOut.length < count && pending.some((each) => each > 0)) {
    const waiting = levels.filter((level) => (pending[level] ?? 0) > 0);
    const next = turns.inTurn(waiting)[0] ?? waiting[0];
    if (next === undefined) break;
    turns.handedOut(next, waiting);
    pending[next] = (pending[next] ?? 0) - 1;
    if (pending[next] === 0) turns.clear(next);
    handedOut.push(next);
  }
  return handedOut;
}

test.each([
  [
    [1_500, 1_500, 1_500, 1_500],
    [700, 100, 100, 100],
  ],
  [
    [0, 1_500, 1_500, 1_500],
    [0, 800, 100, 100],
  ],
  [
    [0, 1_500, 0, 1_500],
    [0, 900, 0, 100],
  ],
  [
    [0, 0, 0, 1_500],
    [0, 0, 0, 1_000],
  ],
])("of %p waiting, 1,000 that are handed out are %p", (pending, expected) => {
  const handedOut = handOut(new LevelTurns(), [...pending], 1_000);
  expect(levels.map((level) => handedOut.filter((each) => each === level).length)).toEqual(expected);
});

test("the most urgent comes first while fewer wait than a batch has", () => {
  const handedOut = handOut(new LevelTurns(), [250, 250, 250, 250], 1_000);
  expect(handedOut).toEqual([...handedOut].sort());
});

test("a turn goes on where it was after what is remembered was stored", () => {
  const turns = new LevelTurns();
  const pending = [0, 5_000, 0, 5_000];
  expect(handOut(turns, pending, 950).filter((level) => level === 3)).toHaveLength(50);
  const stored = new LevelTurns(turns.all);
  expect(handOut(stored, pending, 50)).toEqual(new Array(50).fill(3));
  expect(handOut(stored, pending, 1)).toEqual([1]);
});

test("a waiting level's signal is passed by fewer than a batch, and by as many more for every share before it", () => {
  // Each step: signals that arrive by level, and how many are handed out then.
  const arrival = fc.tuple(...levels.map(() => fc.oneof(fc.constant(0), fc.integer({ min: 0, max: 1_200 }))));
  const step = fc.record({ arrival, count: fc.integer({ min: 0, max: 900 }) });
  fc.assert(
    fc.property(fc.array(step, { minLength: 1, maxLength: 12 }), (steps) => {
      const turns = new LevelTurns();
      const pending = levels.map(() => 0);
      // When each waiting signal arrived, as a count of what was handed out before, and how many of its level were before it.
      const queues = levels.map((): { readonly at: number; readonly before: number }[] => []);
      let total = 0;
      for (const { arrival: counts, count } of steps) {
        for (const level of levels) {
          for (let arrived = 0; arrived < (counts[level] ?? 0); arrived += 1) {
            queues[level]?.push({ at: total, before: queues[level]?.length ?? 0 });
          }
          pending[level] = (pending[level] ?? 0) + (counts[level] ?? 0);
        }
        for (const level of handOut(turns, pending, count)) {
          const signal = queues[level]?.shift();
          if (signal === undefined) throw new Error("nothing of the level waited");
          const bound = maxBatchSignals * (Math.floor(signal.before / levelShareSignals) + 1);
          if (total - signal.at >= bound)
            throw new Error(`waited for ${total - signal.at}, ${signal.before} before it`);
          total += 1;
        }
      }
    }),
    { numRuns: 100 },
  );
});
