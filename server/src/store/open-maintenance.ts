import { isPostgresUrl } from "./is-postgres-url.js";
import { lmdbMaintenance } from "./lmdb/lmdb-maintenance.js";
import { postgresMaintenance } from "./postgres/postgres-maintenance.js";
import { redactedUrl } from "./redacted-url.js";
import type { StoreMaintenance } from "./store-maintenance.js";

/** Prepares work on the store that a URL names. Throws an Error that says which stores there is work on. */
export function openMaintenance(url: string): StoreMaintenance {
  if (url.startsWith("lmdb:") && url.length > "lmdb:".length) return lmdbMaintenance(url.slice("lmdb:".length));
  if (isPostgresUrl(url)) return postgresMaintenance(url);
  if (url === "memory:") throw new Error("store memory: lasts as long as its server: there is nothing to look at");
  throw new Error(`store "${redactedUrl(url)}" is not of a known form: use lmdb:DIR or postgres://...`);
}
