/*
 * Gives a coordinator random commands (sends alone, in batches and atomic, repeated and reused requests, expected heads,
 * rollbacks, trimming, registrations, snapshots, closing, removal, pages of history, restarts) and compares each answer with
 * what an array of signals answers; in half of the runs a coordination leaves memory as soon as nobody uses it.
 */
import fc from "fast-check";
import {
  idleCoordinations,
  modelRetentionSignals,
  runStateCommands,
  stateCommands,
} from "../support/models/state-commands.js";
import { stages } from "../support/random-interleaving.js";
import { type FaultRun, runFaultProgram } from "./harness/fault-program.js";
import { runProperty } from "./harness/run-property.js";
import { plantBug } from "./planted/planted-bugs.js";
import { serverBugs } from "./planted/server-bugs.js";

const maxCommands = 30;

await runFaultProgram({
  name: "state-model",
  about: "Gives a coordinator random commands, and compares each answer with what an array of signals answers.",
  settings: { runs: { about: "lists of commands for each store", short: 500, deep: 20_000 } },
  plantedBugs: serverBugs,
  run: compareStates,
});

async function compareStates(run: FaultRun<"runs">): Promise<void> {
  if (run.plantedBug !== undefined) plantBug(run.plantedBug);
  for (const { name, open } of stages) {
    await runProperty(run, {
      name,
      runs: run.sizes.runs,
      property: fc.asyncProperty(stateCommands(maxCommands), idleCoordinations, async (commands, maxIdle) => {
        await using stage = await open(modelRetentionSignals, maxIdle);
        run.report.signalsChecked += await runStateCommands(stage, commands);
      }),
    });
  }
}
