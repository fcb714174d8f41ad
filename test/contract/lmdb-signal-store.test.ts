import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { openLmdbStore } from "../../server/src/store/lmdb/lmdb-signal-store.js";
import { describeSignalStore, type StoreUnderTest } from "./signal-store-contract.js";

describeSignalStore("lmdb", () => storeUnderTest({}));
// So few that the short logs of these tests have rows of requests too.
describeSignalStore("lmdb, with many rows of requests", () => storeUnderTest({ requestsPerRow: 2 }));

async function storeUnderTest(options: { readonly requestsPerRow?: number }): Promise<StoreUnderTest> {
  const directory = await mkdtemp(join(tmpdir(), "coordination-lmdb-"));
  const open = () => openLmdbStore({ directory, ...options });
  return { open, reopen: open, dispose: () => rm(directory, { recursive: true, force: true }) };
}
