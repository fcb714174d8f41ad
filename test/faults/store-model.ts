/*
 * Gives every store random commands (commits of several coordinations, conflicts, trimming, rollbacks, removals, journal
 * records, reads of every kind, closing and opening) and compares each answer with what plain arrays answer.
 */
import fc from "fast-check";
import { runStoreCommands, storeCommands } from "../support/models/store-commands.js";
import { lmdbStores, memoryStores, postgresStores, type StoreKind } from "../support/models/store-subject.js";
import { openTestPostgres } from "../support/test-postgres.js";
import { type FaultRun, runFaultProgram } from "./harness/fault-program.js";
import { runProperty } from "./harness/run-property.js";
import { plantBug } from "./planted/planted-bugs.js";
import { serverBugs } from "./planted/server-bugs.js";

const maxCommands = 30;

type ModelRun = FaultRun<"runs">;

await runFaultProgram({
  name: "store-model",
  about: "Gives every store random commands, and compares each answer with what plain arrays answer.",
  settings: {
    runs: { about: "lists of commands for each store", short: 500, deep: 20_000 },
  },
  plantedBugs: serverBugs,
  run: compareStores,
});

async function compareStores(run: ModelRun): Promise<void> {
  if (run.plantedBug !== undefined) plantBug(run.plantedBug);
  const { runs } = run.sizes;
  for (const kind of [memoryStores(), lmdbStores()]) await compare(run, kind, runs);
  await using postgres = await openTestPostgres();
  if (postgres === undefined) return run.report.skip("there is no PostgreSQL");
  await compare(run, await postgresStores(await postgres.createDatabase()), runs);
}

async function compare(run: ModelRun, kind: StoreKind, runs: number): Promise<void> {
  const startMs = performance.now();
  await using kinds = kind;
  await runProperty(run, {
    name: kind.name,
    runs,
    property: fc.asyncProperty(storeCommands(maxCommands), async (commands) => {
      await using subject = await kinds.open();
      run.report.signalsChecked += await runStoreCommands(subject, commands);
    }),
  });
  const seconds = ((performance.now() - startMs) / 1_000).toFixed(1);
  run.report.figure(`${kind.name}: ${runs.toLocaleString("en")} runs in ${seconds} s`);
}
