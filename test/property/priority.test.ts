// The guarantees of a subscription in order of priority: in order within a level, unique, reliable, resumable, bookmarkable,
// urgent first, and without starvation.
import { Priority } from "@coordination-signals/proto/coordination/v1/signal";
import { describe, expect, test } from "@jest/globals";
import fc from "fast-check";
import { type PriorityBounds, priorityOrder } from "../../server/src/delivery/priority-order.js";
import { SignalView } from "../../server/src/delivery/signal-view.js";
import { decodeCursor } from "../../server/src/model/cursor.js";
import { maxSignalBytes } from "../../server/src/model/limits.js";
import { levelOf, priorityLevels } from "../../server/src/model/priority-level.js";
import { LogReader } from "../../server/src/state/log-reader.js";
import { SessionState } from "../../server/src/state/session-state.js";
import { MemorySignalStore } from "../../server/src/store/memory/memory-signal-store.js";
import { filterOf } from "../support/coordinator-under-test.js";
import { entryAt, headerOf, PartWriter } from "../support/log-entries.js";
import {
  assertForTraffic,
  expectedSequences,
  positionOf,
  readFrom,
  signalsOf,
  type Traffic,
  traffic,
} from "../support/random-traffic.js";

/** A log, how much of it can be seen at each read, and how small batches are. */
interface Plan {
  readonly log: readonly { readonly priority: Priority; readonly matches: boolean }[];
  /** How many signals are added before each read. */
  readonly growth: readonly number[];
  readonly bounds: PriorityBounds;
}

interface Reading {
  readonly positions: readonly bigint[];
  readonly sequences: readonly number[];
  /** What could be seen by then. */
  readonly head: number;
}

const plans: fc.Arbitrary<Plan> = fc
  .record({
    log: fc.array(fc.record({ priority: fc.constantFrom(...priorityLevels), matches: fc.boolean() }), {
      minLength: 1,
      maxLength: 60,
    }),
    growth: fc.array(fc.nat({ max: 12 }), { maxLength: 30 }),
    shareSignals: fc.integer({ min: 1, max: 2 }),
    extraSignals: fc.integer({ min: 1, max: 6 }),
    scanSignals: fc.integer({ min: 1, max: 70 }),
  })
  .map(({ log, growth, shareSignals, extraSignals, scanSignals }) => ({
    log,
    growth,
    bounds: {
      signals: shareSignals * 3 + extraSignals,
      bytes: 4 * maxSignalBytes,
      shareSignals,
      shareBytes: maxSignalBytes,
      scanSignals,
    },
  }));

/** Reads a log as it grows, and when it grows no more, to its end. */
async function readThrough(
  plan: Plan,
  from: readonly bigint[] = [0n, 0n, 0n, 0n],
  seen = 0,
): Promise<readonly Reading[]> {
  const readings: Reading[] = [];
  let positions = from;
  let head = seen;
  for (let turn = 0; positions.some((position) => position < plan.log.length); turn++) {
    head = Math.min(plan.log.length, head + (plan.growth[turn] ?? plan.log.length));
    const { entries, positions: next } = await readOnce(plan, positions, head);
    readings.push({ positions: next, sequences: entries.map(({ sequence }) => Number(sequence)), head });
    if (turn > 1_000) throw new Error(`${turn} reads have not come to the end`);
    positions = next;
  }
  return readings;
}

async function readOnce({ log, bounds }: Plan, positions: readonly bigint[], head: number) {
  const store = new MemorySignalStore();
  const writer = new PartWriter();
  const entries = log
    .slice(0, head)
    .map(({ priority, matches }, index) =>
      entryAt(BigInt(index + 1), { priority, senderAgentId: matches ? "a" : "b" }),
    );
  await store.commit([writer.write(entries)]);
  const header = writer.header("c") ?? headerOf();
  const reader = new LogReader(store, (error) => {
    throw error;
  });
  const session = new SessionState("c", { header, records: [] }, "0");
  const filter = filterOf({ senderAgentIds: ["a"] });
  const view = new SignalView({ outgoing: undefined, filter });
  return priorityOrder(bounds).readNext({ session, reader, view, aborted: false, isForReader: () => true }, positions);
}

/** The matching sequences of a level after one, in the order of the log. */
function ofLevel({ log }: Plan, level: number, after: bigint, through = log.length): readonly number[] {
  return log.flatMap(({ priority, matches }, index) => {
    const sequence = index + 1;
    return matches && levelOf(priority) === level && sequence > after && sequence <= through ? [sequence] : [];
  });
}

const levels = [...priorityLevels.keys()];
const levelIn = (plan: Plan, sequence: number) => levelOf(plan.log[sequence - 1]?.priority ?? Priority.UNSPECIFIED);

async function assertForReadings(check: (plan: Plan, readings: readonly Reading[]) => void | Promise<void>) {
  await fc.assert(
    fc.asyncProperty(plans, async (plan) => check(plan, await readThrough(plan))),
    { numRuns: 200 },
  );
}

describe("order of priority in small batches", () => {
  test("every level comes whole, in order and once", async () => {
    await assertForReadings((plan, readings) => {
      const sequences = readings.flatMap((reading) => reading.sequences);
      for (const level of levels) {
        expect(sequences.filter((sequence) => levelIn(plan, sequence) === level)).toEqual(ofLevel(plan, level, 0n));
      }
    });
  });

  test("from every position, what is left comes and nothing else", async () => {
    await assertForReadings(async (plan, readings) => {
      for (const { positions, head } of readings) {
        const rest = (await readThrough(plan, positions, head)).flatMap((reading) => reading.sequences);
        for (const level of levels) {
          const expected = ofLevel(plan, level, positions[level] ?? 0n);
          expect(rest.filter((sequence) => levelIn(plan, sequence) === level)).toEqual(expected);
        }
      }
    });
  });

  test("everything through a level's position was handed out or does not match", async () => {
    await assertForReadings((plan, readings) => {
      const seen: number[] = [];
      for (const { positions, sequences } of readings) {
        seen.push(...sequences);
        for (const level of levels) {
          const expected = ofLevel(plan, level, 0n, Number(positions[level]));
          expect(seen.filter((sequence) => levelIn(plan, sequence) === level)).toEqual(expected);
        }
      }
    });
  });

  test("a batch goes down the levels, within its bounds", async () => {
    await assertForReadings((plan, readings) => {
      for (const { sequences } of readings) {
        const found = sequences.map((sequence) => levelIn(plan, sequence));
        expect(found).toEqual([...found].sort((a, b) => a - b));
        expect(found.length).toBeLessThanOrEqual(plan.bounds.signals);
      }
    });
  });

  test("a batch that leaves something urgent out has no more of a lower level than its share", async () => {
    await assertForReadings((plan, readings) => {
      for (const { positions, sequences, head } of readings) {
        for (const level of levels) {
          const isLeft = levels.some(
            (above) => above < level && ofLevel(plan, above, positions[above] ?? 0n, head).length > 0,
          );
          const count = sequences.filter((sequence) => levelIn(plan, sequence) === level).length;
          if (isLeft) expect(count).toBeLessThanOrEqual(plan.bounds.shareSignals);
        }
      }
    });
  });

  test("a batch with anything has something of every level in which something is found", async () => {
    await assertForReadings((plan, readings) => {
      let before: readonly bigint[] = [0n, 0n, 0n, 0n];
      for (const { positions, sequences, head } of readings) {
        for (const level of levels) {
          const [first] = ofLevel(plan, level, before[level] ?? 0n, head);
          const isInReach = first !== undefined && first - Number(before[level]) <= plan.bounds.scanSignals;
          if (isInReach && sequences.length > 0) expect(sequences).toContain(first);
        }
        before = positions;
      }
    });
  });
});

/** The traffic read by priority, with CONTROL signals in it. */
const byPriority: fc.Arbitrary<Traffic> = fc.tuple(traffic, fc.array(fc.nat({ max: 3 }))).map(([plan, urgent]) => ({
  readers: plan.readers.map((reader) => ({ ...reader, order: "priority" as const })),
  bursts: plan.bursts.map((burst) =>
    burst.map((batch) =>
      batch.map((each, index) => (urgent[index] === 0 ? { ...each, priority: Priority.CONTROL } : each)),
    ),
  ),
}));

const sorted = (values: readonly bigint[]) => [...values].sort((a, b) => (a < b ? -1 : 1));

describe("a subscription in order of priority", () => {
  test("gets every matching signal once, in order within a level, also when it leaves and resumes", async () => {
    await assertForTraffic(({ log, transcripts }) => {
      for (const { view, sittings } of transcripts) {
        const items = sittings.flat();
        const [subscribed] = items;
        if (subscribed === undefined) throw new Error("a subscriber was told nothing");
        const seen = signalsOf(items);
        const expected = expectedSequences({ log }, view, { after: positionOf(subscribed) });
        expect(sorted(seen.map(({ sequence }) => sequence))).toEqual(expected);
        for (const priority of priorityLevels) {
          const ofOne = seen.filter((signal) => signal.priority === priority).map(({ sequence }) => sequence);
          expect(ofOne).toEqual(sorted(ofOne));
        }
      }
    }, byPriority);
  });

  test("has ranges that join, and at the end of each everything through it was delivered or filtered out", async () => {
    await assertForTraffic(({ log, transcripts }) => {
      for (const { view, sittings } of transcripts) {
        const [subscribed, ...items] = sittings.flat();
        const after = subscribed === undefined ? 0n : positionOf(subscribed);
        const seen: bigint[] = [];
        let through = after;
        for (const item of items) {
          seen.push(...signalsOf([item]).map(({ sequence }) => sequence));
          if (item.kind === "batch" || item.kind === "checkpoint") {
            expect(item.afterSequence).toBe(through);
            through = item.throughSequence;
          }
          expect(positionOf(item)).toBe(through);
          const done = expectedSequences({ log }, view, { after, through });
          expect(sorted(seen.filter((sequence) => sequence <= through))).toEqual(done);
        }
        expect(through).toBe(BigInt(log.length));
      }
    }, byPriority);
  });

  test("resumes from any cursor with what it stood before, level by level", async () => {
    await assertForTraffic(async ({ subject, log, transcripts }) => {
      for (const { view, sittings } of transcripts) {
        for (const item of sittings.flat()) {
          const cursor = decodeCursor(item.cursor);
          if (cursor.epoch === "") continue; // from before the coordination began
          const rest = signalsOf(await readFrom(subject, view, cursor));
          for (const [level, priority] of priorityLevels.entries()) {
            const ofOne = log.filter((signal) => signal.priority === priority);
            const after = cursor.levelSequences?.[level] ?? 0n;
            expect(rest.filter((signal) => signal.priority === priority).map(({ sequence }) => sequence)).toEqual(
              expectedSequences({ log: ofOne }, view, { after, through: BigInt(log.length) }),
            );
          }
        }
      }
    }, byPriority);
  });
});
