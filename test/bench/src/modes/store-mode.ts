import { rm } from "node:fs/promises";
import { join } from "node:path";
import type { CoordinationHeader, SignalStore } from "../../../../server/src/store/signal-store.js";
import { encodeSignal } from "../load/bench-signal.js";
import { percentile } from "../load/statistics.js";
import { createDataDirectory } from "../servers/server-process.js";
import { systemTable } from "../systems/system-table.js";
import type { BenchMode, Measurement, ModeContext } from "./bench-mode.js";
import { measurePgbench } from "./pgbench.js";
import { loadLmdbStore, loadLogEntry, loadOpenLmdb } from "./server-build.js";

const batchSignals = 1_000;
const keyBytes = 8;

/** What the embedded store can do, without a network in front of it. */
export const storeMode: BenchMode = {
  title: "store alone, batches, signals/s",
  description: `LMDB in one process: the store's commits of ${batchSignals.toLocaleString("en")} signals and of one, and one durable write of the bare driver; PostgreSQL: its own tool with the store's statement, 64 signals in each transaction`,
  figures: {
    batchedPerSecond: {
      label: `signals in commits of ${batchSignals.toLocaleString("en")}`,
      unit: "/s",
      better: "higher",
      decimals: 0,
    },
    commitP50Ms: { label: "commit of one signal, p50", unit: "ms", better: "lower", decimals: 3 },
    writeP50Ms: { label: "one durable LMDB write, p50", unit: "ms", better: "lower", decimals: 3 },
    databasePerSecond: { label: "signals by pgbench", unit: "/s", better: "higher", decimals: 0 },
  },
  run: (context) =>
    context.system === systemTable["coordination-postgres"] ? measurePostgres(context) : measureLmdb(context),
};

async function measurePostgres({ scale }: ModeContext): Promise<Measurement> {
  const databasePerSecond = await measurePgbench(Math.ceil(scale.measureMs / 1_000));
  return { values: { databasePerSecond }, checkedDeliveries: 0 };
}

async function measureLmdb({ scale }: ModeContext): Promise<Measurement> {
  const directory = await createDataDirectory();
  try {
    const writeP50Ms = await measureDriver(directory, scale.measureMs / 2);
    const { openLmdbStore } = await loadLmdbStore();
    const store = await openLmdbStore({ directory: join(directory, "store") });
    const log = await SyntheticLog.open(store);
    await log.commitFor(scale.warmUpMs, batchSignals);
    const batches = await log.commitFor(scale.measureMs, batchSignals);
    const singles = await log.commitFor(scale.measureMs / 2, 1);
    const batchedMs = batches.reduce((sum, ms) => sum + ms, 0);
    await log.assertComplete();
    await store.close();
    return {
      values: {
        batchedPerSecond: (batches.length * batchSignals * 1_000) / batchedMs,
        commitP50Ms: percentile(singles, 0.5),
        writeP50Ms,
      },
      checkedDeliveries: 0,
    };
  } finally {
    await rm(directory, { recursive: true, force: true });
  }
}

/** One record of a signal's size, one commit at a time. */
async function measureDriver(directory: string, durationMs: number): Promise<number> {
  const { openLmdb } = await loadOpenLmdb();
  const db = openLmdb(join(directory, "driver.mdb"));
  const value = encodeSignal("sender-0", 1);
  const durations: number[] = [];
  const end = performance.now() + durationMs;
  for (let number = 0n; performance.now() < end; number += 1n) {
    const key = Buffer.alloc(keyBytes);
    key.writeBigUInt64BE(number);
    const start = performance.now();
    await db.put(key, value);
    durations.push(performance.now() - start);
  }
  await db.close();
  return percentile(durations, 0.5);
}

/** Appends to one coordination as the server does, with signals whose encoding is not part of the measurement. */
class SyntheticLog {
  readonly #store: SignalStore;
  readonly #logEntry: Awaited<ReturnType<typeof loadLogEntry>>;
  readonly #bytes = encodeSignal("sender-0", 1);
  #header: CoordinationHeader | undefined;

  private constructor(store: SignalStore, logEntry: Awaited<ReturnType<typeof loadLogEntry>>) {
    this.#store = store;
    this.#logEntry = logEntry;
  }

  static async open(store: SignalStore): Promise<SyntheticLog> {
    return new SyntheticLog(store, await loadLogEntry());
  }

  /** Commits for a time; answers how long each commit took, in milliseconds. */
  async commitFor(durationMs: number, signals: number): Promise<readonly number[]> {
    const durations: number[] = [];
    const end = performance.now() + durationMs;
    while (performance.now() < end) durations.push(await this.#commit(signals));
    return durations;
  }

  async #commit(signals: number): Promise<number> {
    const before = this.#header;
    const head = before?.headSequence ?? 0n;
    const entries = Array.from({ length: signals }, (_, index) => this.#entryAt(head + BigInt(index) + 1n));
    const header = headerAt(head + BigInt(signals), (before?.revision ?? 0n) + 1n);
    const expected = before && { epoch: before.epoch, commits: before.commits };
    const start = performance.now();
    await this.#store.commit([{ action: "write", expected, header, entries, records: [] }]);
    this.#header = header;
    return performance.now() - start;
  }

  #entryAt(sequence: bigint) {
    return new this.#logEntry.LogEntry({ sequence, bytes: this.#bytes, requestKey: `sender-0\0${sequence}` });
  }

  async assertComplete(): Promise<void> {
    const stored = await this.#store.load("bench");
    if (stored?.header.headSequence !== this.#header?.headSequence) throw new Error("the store has lost signals");
  }
}

function headerAt(headSequence: bigint, revision: bigint): CoordinationHeader {
  return {
    coordinationId: "bench",
    epoch: "01890000-0000-7000-8000-000000000001",
    commits: revision,
    revision,
    generation: 0,
    headSequence,
    oldestSequence: 1n,
    trimmedThroughSequence: 0n,
    removedRanges: [],
    createTimeMs: 1_700_000_000_000,
    lastSignalTimeMs: 1_700_000_000_000,
    closeTimeMs: undefined,
    closeReason: "",
    endedWaits: 0,
    sentByType: [0, 0, 0, 0, Number(headSequence)],
  };
}
