import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { openLmdbStore } from "../../server/src/store/lmdb/lmdb-signal-store.js";
import { describeSignalStore } from "./signal-store-contract.js";

describeSignalStore("lmdb", async () => {
  const directory = await mkdtemp(join(tmpdir(), "coordination-lmdb-"));
  const open = () => openLmdbStore({ directory });
  return { open, reopen: open, dispose: () => rm(directory, { recursive: true, force: true }) };
});
