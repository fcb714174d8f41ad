/*
 * Lets readers come, read, leave and resume at any place while signals are sent and the coordination is trimmed, rolled back,
 * removed, begun again, closed and its server restarted, under a scheduler that decides at every step of the store what happens
 * next. Every reader must be told exactly what was accepted, none of it before it is durable; and when nothing is left to
 * happen, nobody may wait while something is pending for it.
 */
import fc from "fast-check";
import { checkNumbers, checkReading } from "../support/check-readings.js";
import { openControlledStage } from "../support/controlled-stage.js";
import { play, stepsWithRemovals } from "../support/random-interleaving.js";
import { sequencesOf } from "../support/random-traffic.js";
import { type FaultRun, runFaultProgram } from "./harness/fault-program.js";
import { runProperty } from "./harness/run-property.js";
import { plantBug } from "./planted/planted-bugs.js";
import { serverBugs } from "./planted/server-bugs.js";

await runFaultProgram({
  name: "hand-over",
  about:
    "Hands readers over from history to live under a scheduler that decides at every step of the store what happens next.",
  settings: { runs: { about: "interleavings", short: 2_000, deep: 100_000 } },
  plantedBugs: serverBugs,
  run: handOver,
});

async function handOver(run: FaultRun<"runs">): Promise<void> {
  if (run.plantedBug !== undefined) plantBug(run.plantedBug);
  await runProperty(run, {
    name: "hand-over",
    runs: run.sizes.runs,
    property: fc.asyncProperty(
      stepsWithRemovals,
      fc.scheduler(),
      fc.constantFrom(6, 30, 100_000),
      async (plan, scheduler, retentionSignals) => {
        await using stage = openControlledStage(scheduler, retentionSignals);
        const outcome = await play(stage, plan);
        checkNumbers(outcome);
        for (const reading of outcome.readings) {
          checkReading(outcome, reading);
          run.report.signalsChecked += sequencesOf(reading.items).length;
        }
      },
    ),
  });
}
