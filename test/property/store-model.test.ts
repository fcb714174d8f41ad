import { afterAll, describe, test } from "@jest/globals";
import fc from "fast-check";
import { runStoreCommands, storeCommands } from "../support/models/store-commands.js";
import { lmdbStores, memoryStores, postgresStores, type StoreKind } from "../support/models/store-subject.js";
import { openTestPostgres } from "../support/test-postgres.js";

const postgres = await openTestPostgres();
const kinds: readonly { readonly kind: StoreKind; readonly runs: number }[] = [
  { kind: memoryStores(), runs: 100 },
  { kind: lmdbStores(), runs: 40 },
  ...(postgres === undefined ? [] : [{ kind: await postgresStores(await postgres.createDatabase()), runs: 30 }]),
];

afterAll(async () => {
  for (const { kind } of kinds) await kind[Symbol.asyncDispose]();
  await postgres?.[Symbol.asyncDispose]();
});

describe.each(kinds.map(({ kind, runs }) => ({ name: kind.name, kind, runs })))("a store, $name", ({ kind, runs }) => {
  test("answers as arrays would, whatever was committed, removed, trimmed and rolled back", async () => {
    await fc.assert(
      fc.asyncProperty(storeCommands(25), async (commands) => {
        await using subject = await kind.open();
        await runStoreCommands(subject, commands);
      }),
      { numRuns: runs },
    );
  });
});
