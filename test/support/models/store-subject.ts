import assert from "node:assert/strict";
import { mkdir, mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { FailStopStore } from "../../../server/src/store/fail-stop-store.js";
import { lmdbMaintenance } from "../../../server/src/store/lmdb/lmdb-maintenance.js";
import { openLmdbStore } from "../../../server/src/store/lmdb/lmdb-signal-store.js";
import { MemorySignalStore } from "../../../server/src/store/memory/memory-signal-store.js";
import { openPostgresStore } from "../../../server/src/store/postgres/open-postgres-store.js";
import type { SignalStore } from "../../../server/src/store/signal-store.js";
import { copyAsKilled } from "../copy-as-killed.js";

/** A store for one run against the model. */
export interface StoreSubject extends AsyncDisposable {
  /** What the names of its coordinations begin with, where others are in the same store. */
  readonly prefix: string;
  /** How many servers have it open at the same time. */
  readonly servers: number;
  readonly isShared: boolean;
  /** The store as one of the servers has it. */
  at(server: number): SignalStore;
  /** Closes it and opens it again; undefined where nothing would be left. */
  readonly reopen: ((server: number) => Promise<void>) | undefined;
}

/** Where the stores of many runs come from. */
export interface StoreKind extends AsyncDisposable {
  readonly name: string;
  open(): Promise<StoreSubject>;
}

/** Stores in memory. */
export function memoryStores(): StoreKind {
  const open = async (): Promise<StoreSubject> => {
    const store = guarded(new MemorySignalStore());
    return { ...alone(() => store), reopen: undefined, [Symbol.asyncDispose]: () => store.close() };
  };
  return { name: "memory", open, [Symbol.asyncDispose]: async () => undefined };
}

/** So few that a short log has rows of requests too. */
const requestsPerRow = 3;

/** So few that a short run goes from one region of the write-ahead log to the other. */
const turnBytes = 8_192;

/**
 * LMDB stores, each in a directory of its own. Opened again they are at times as one is that was killed, and at times as one that was
 * closed. What is left, then and in the end, is sound.
 */
export function lmdbStores(): StoreKind {
  const open = async (): Promise<StoreSubject> => {
    const place = await mkdtemp(join(tmpdir(), "coordination-model-"));
    let lives = 0;
    let directory = join(place, "0");
    await mkdir(directory);
    const openStore = async () => guarded(await openLmdbStore({ directory, requestsPerRow, turnBytes }));
    let store = await openStore();
    return {
      ...alone(() => store),
      reopen: async () => {
        lives += 1;
        if (lives % 2 === 1) {
          const killed = directory;
          directory = join(place, String(lives));
          copyAsKilled(killed, directory);
          await checkSound(directory);
        }
        await store.close();
        store = await openStore();
      },
      [Symbol.asyncDispose]: async () => {
        await store.close();
        await checkSound(directory);
        await rm(place, { recursive: true, force: true });
      },
    };
  };
  return { name: "lmdb", open, [Symbol.asyncDispose]: async () => undefined };
}

async function checkSound(directory: string): Promise<void> {
  const { damages } = await lmdbMaintenance(directory).inspect(() => undefined);
  assert.deepEqual(damages, []);
}

/** One PostgreSQL database that two servers have open; each run has coordinations of its own. */
export async function postgresStores(url: string): Promise<StoreKind> {
  const open = async (): Promise<SignalStore> => guarded(await openPostgresStore({ url, onWarning: () => undefined }));
  const stores = await Promise.all([open(), open()]);
  let runs = 0;
  return {
    name: "postgres",
    open: async () => {
      runs += 1;
      const prefix = `${String(runs).padStart(8, "0")}/`;
      return {
        prefix,
        servers: stores.length,
        isShared: true,
        at: (server) => storeAt(stores, server),
        reopen: async (server) => {
          await storeAt(stores, server).close();
          stores[server % stores.length] = await open();
        },
        [Symbol.asyncDispose]: () => removeAll(storeAt(stores, 0), prefix),
      };
    },
    [Symbol.asyncDispose]: async () => {
      for (const store of stores) await store.close();
    },
  };
}

function alone(current: () => SignalStore): Pick<StoreSubject, "prefix" | "servers" | "isShared" | "at"> {
  return { prefix: "", servers: 1, isShared: false, at: current };
}

/** As a server has it: what is fatal fails everything after it. */
function guarded(store: SignalStore): SignalStore {
  return new FailStopStore(store, () => undefined);
}

function storeAt(stores: readonly SignalStore[], server: number): SignalStore {
  const store = stores[server % stores.length];
  if (store === undefined) throw new Error("there is no server");
  return store;
}

async function removeAll(store: SignalStore, prefix: string): Promise<void> {
  const headers = await store.list(prefix, 100);
  const left = headers.filter(({ coordinationId }) => coordinationId.startsWith(prefix));
  await store.commit(
    left.map(({ coordinationId, epoch, commits }) => ({
      action: "remove",
      coordinationId,
      expected: { epoch, commits },
    })),
  );
}
