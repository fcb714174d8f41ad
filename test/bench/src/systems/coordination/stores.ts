import { nameOnly, type StoreVariant } from "./coordination-system.js";
import { postgresUnavailable, startPostgresCluster } from "./postgres-cluster.js";

/** The embedded store. */
export const lmdbStore: StoreVariant = {
  label: "Coordination, LMDB",
  acknowledges: "after fsync",
  unavailable: () => undefined,
  openStore: async (directory) => nameOnly(`lmdb:${directory}`),
};

/** No store: what the rest of the server can do. */
export const memoryStore: StoreVariant = {
  label: "Coordination, memory",
  acknowledges: "in memory",
  unavailable: () => undefined,
  openStore: async () => nameOnly("memory:"),
};

/** A PostgreSQL server beside this one, on the same machine. */
export const postgresStore: StoreVariant = {
  label: "Coordination, PostgreSQL",
  acknowledges: "after PostgreSQL's fsync",
  unavailable: postgresUnavailable,
  async openStore() {
    const cluster = await startPostgresCluster();
    return { url: cluster.url, pids: [cluster.pid], [Symbol.asyncDispose]: () => cluster[Symbol.asyncDispose]() };
  },
};
