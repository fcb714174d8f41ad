import { isPostgresUrl } from "./is-postgres-url.js";
import { openLmdbStore } from "./lmdb/lmdb-signal-store.js";
import { MemorySignalStore } from "./memory/memory-signal-store.js";
import { redactedUrl } from "./redacted-url.js";
import type { SignalStore } from "./signal-store.js";

/**
 * Opens the store that a URL names: `memory:`, `lmdb:DIR`, or `postgres://...` as PostgreSQL's own tools take it. Throws an Error
 * that says what is wrong with the URL or the place; `onWarning` is told what should be known although it works.
 */
export async function openStore(url: string, onWarning: (message: string) => void): Promise<SignalStore> {
  if (url === "memory:") return new MemorySignalStore();
  if (url.startsWith("lmdb:") && url.length > "lmdb:".length) {
    return openLmdbStore({ directory: url.slice("lmdb:".length) });
  }
  if (isPostgresUrl(url)) {
    // Loaded only where it is used: a server on another store starts sooner.
    const { openPostgresStore } = await import("./postgres/open-postgres-store.js");
    return openPostgresStore({ url, onWarning });
  }
  throw new Error(`store "${redactedUrl(url)}" is not of a known form: use memory:, lmdb:DIR or postgres://...`);
}
