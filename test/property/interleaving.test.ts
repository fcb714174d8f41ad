import { describe, expect, test } from "@jest/globals";
import fc from "fast-check";
import { checkNumbers, checkReading } from "../support/check-readings.js";
import { openControlledStage } from "../support/controlled-stage.js";
import {
  type Outcome,
  play,
  stages,
  steps,
  stepsWithRemovals,
  stepsWithRollbacks,
} from "../support/random-interleaving.js";

// What is told of every range is checked as it is taken: it joins the one before, and its cursor stands at its end.

function check(outcome: Outcome): void {
  checkNumbers(outcome);
  for (const reading of outcome.readings) checkReading(outcome, reading);
}

/** The head of the only life. */
function headOf({ lives }: Outcome): bigint {
  const [life, ...others] = lives.values();
  expect(others).toEqual([]);
  return life?.log.at(-1)?.sequence ?? 0n;
}

describe.each(stages)("readers and senders that do not wait for each other, $name", ({ open, runs }) => {
  test("every reader gets what it is to see from its start to its end, cut, resumed or across a restart", async () => {
    await fc.assert(
      fc.asyncProperty(steps, async (plan) => {
        await using stage = await open(100_000);
        const outcome = await play(stage, plan);
        check(outcome);
        for (const { error } of outcome.readings) expect([undefined, "CURSOR_AHEAD"]).toContain(error?.reason);
      }),
      { numRuns: runs },
    );
  });

  test("one that falls behind a history that is trimmed is told so, and never misses a signal silently", async () => {
    await fc.assert(
      fc.asyncProperty(steps, async (plan) => {
        await using stage = await open(30);
        const outcome = await play(stage, plan);
        const head = headOf(outcome);
        expect(outcome.oldestSequence).toBe(head > 30n ? head - 29n : 1n);
        check(outcome);
      }),
      { numRuns: runs },
    );
  });

  test("readers of a log that is rolled back see what was left when they looked, and end where they had seen more", async () => {
    await fc.assert(
      fc.asyncProperty(stepsWithRollbacks, async (plan) => {
        await using stage = await open(100_000);
        const outcome = await play(stage, plan);
        headOf(outcome);
        check(outcome);
      }),
      { numRuns: runs },
    );
  });
});

describe("readers and senders whose store answers in any order", () => {
  test("nobody misses a signal, sees one too early, or waits for what is there already", async () => {
    await fc.assert(
      fc.asyncProperty(
        stepsWithRemovals,
        fc.scheduler(),
        fc.constantFrom(6, 100_000),
        async (plan, scheduler, kept) => {
          await using stage = openControlledStage(scheduler, kept);
          check(await play(stage, plan));
        },
      ),
      { numRuns: 200 },
    );
  });
});
