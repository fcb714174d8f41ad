/*
 * Parts of the built server that are measured alone, in this process: what the store can do without a network in front of
 * it, and what counting costs. They are not exported by the server's package, so they are loaded by path.
 */

import type * as MetricsCollectorModule from "../../../../server/src/metrics/metrics-collector.js";
import type * as LogEntryModule from "../../../../server/src/model/log-entry.js";
import type * as SessionMetricsModule from "../../../../server/src/state/session-metrics.js";
import type * as LmdbStoreModule from "../../../../server/src/store/lmdb/lmdb-signal-store.js";
import type * as OpenLmdbModule from "../../../../server/src/store/lmdb/open-lmdb.js";
import type * as CommitStatementModule from "../../../../server/src/store/postgres/commit-statement.js";
import type * as ConnectionSettingsModule from "../../../../server/src/store/postgres/connection-settings.js";
import type * as PostgresSchemaModule from "../../../../server/src/store/postgres/postgres-schema.js";

const build = new URL("../../../../server/dist/", import.meta.url);

/** The embedded store. */
export const loadLmdbStore = () => load<typeof LmdbStoreModule>("store/lmdb/lmdb-signal-store.js");
/** How the embedded store opens its data file. */
export const loadOpenLmdb = () => load<typeof OpenLmdbModule>("store/lmdb/open-lmdb.js");
/** The statement by which the PostgreSQL store appends. */
export const loadCommitStatement = () => load<typeof CommitStatementModule>("store/postgres/commit-statement.js");
/** How the PostgreSQL store connects. */
export const loadConnectionSettings = () =>
  load<typeof ConnectionSettingsModule>("store/postgres/connection-settings.js");
/** The layout of the PostgreSQL store. */
export const loadPostgresSchema = () => load<typeof PostgresSchemaModule>("store/postgres/postgres-schema.js");
/** What a store keeps. */
export const loadLogEntry = () => load<typeof LogEntryModule>("model/log-entry.js");
/** The process's metrics. */
export const loadMetricsCollector = () => load<typeof MetricsCollectorModule>("metrics/metrics-collector.js");
/** A coordination's metrics. */
export const loadSessionMetrics = () => load<typeof SessionMetricsModule>("state/session-metrics.js");

async function load<Module>(path: string): Promise<Module> {
  return (await import(new URL(path, build).href)) as Module;
}
