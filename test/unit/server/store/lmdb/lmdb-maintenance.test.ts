import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, test } from "@jest/globals";
import { schemaKey, seedKey } from "../../../../../server/src/store/lmdb/commit-rows.js";
import { createLmdb } from "../../../../../server/src/store/lmdb/create-lmdb.js";
import { lmdbMaintenance } from "../../../../../server/src/store/lmdb/lmdb-maintenance.js";
import { sealOrdinal } from "../../../../../server/src/store/lmdb/lmdb-records.js";
import { openLmdbStore } from "../../../../../server/src/store/lmdb/lmdb-signal-store.js";
import { dataFileName, openLmdb } from "../../../../../server/src/store/lmdb/open-lmdb.js";
import { walFileName } from "../../../../../server/src/store/lmdb/wal-contents.js";
import type { SignalStore } from "../../../../../server/src/store/signal-store.js";
import { copyAsKilled } from "../../../../support/copy-as-killed.js";
import { entryAt, PartWriter } from "../../../../support/log-entries.js";
import { temporaryDirectory } from "../../../../support/temporary-directory.js";

const signals = 5n;

/** A store whose last signals are durable in the write-ahead log, and nowhere else. */
describe("the maintenance of an LMDB store with commits in its log", () => {
  let directory: Awaited<ReturnType<typeof temporaryDirectory>>;
  let running: string;
  let killed: string;
  let store: SignalStore;

  beforeEach(async () => {
    directory = await temporaryDirectory();
    running = join(directory.path, "running");
    killed = join(directory.path, "killed");
    mkdirSync(running);
    store = await openLmdbStore({ directory: running });
    const writer = new PartWriter();
    for (let sequence = 1n; sequence <= signals; sequence += 1n) {
      await store.commit([writer.write([entryAt(sequence, { requestId: `r${sequence}` })])]);
    }
    copyAsKilled(running, killed);
  });
  afterEach(async () => {
    await store.close();
    await directory[Symbol.asyncDispose]();
  });

  const at = (name: string) => join(directory.path, name);
  const inspect = (path: string) => lmdbMaintenance(path).inspect(() => undefined);
  const headsIn = async (path: string) => {
    const { coordinations, damages } = await inspect(path);
    expect(damages).toEqual([]);
    return coordinations.map(({ headSequence, signalCount }) => [headSequence, signalCount]);
  };
  const everySignal = [[signals, Number(signals)]];

  test.each(["running", "killed"])("finds all of a store that was left %s, and changes nothing", async (name) => {
    const files = [dataFileName, walFileName].map((file) => join(at(name), file));
    const before = files.map((file) => readFileSync(file));
    expect(await headsIn(at(name))).toEqual(everySignal);
    expect(files.map((file) => readFileSync(file))).toEqual(before);
  });

  test.each(["running", "killed"])("copies all of a store that was left %s", async (name) => {
    await lmdbMaintenance(at(name)).backup(at("backup"));
    expect(await headsIn(at("backup"))).toEqual(everySignal);
    expect(await lmdbMaintenance(at("restored")).restore(at("backup"))).toBe(1);
    expect(await headsIn(at("restored"))).toEqual(everySignal);
  });

  test("restores all from the directory of a server that was killed", async () => {
    expect(await lmdbMaintenance(at("restored")).restore(killed)).toBe(1);
    expect(await headsIn(at("restored"))).toEqual(everySignal);
  });

  test("renews the epochs of what is in the log, too", async () => {
    const [before] = (await inspect(killed)).coordinations;
    await lmdbMaintenance(killed).renewEpochs();
    const [after] = (await inspect(killed)).coordinations;
    expect(after).toMatchObject({ headSequence: signals, signalCount: Number(signals) });
    expect(after?.epoch).not.toBe(before?.epoch);
    const again = await openLmdbStore({ directory: killed });
    expect((await again.load("c"))?.header.epoch).toBe(after?.epoch);
    await again.close();
  });

  test("copies a store of layout 2, which has no log and no seed", async () => {
    mkdirSync(at("older"));
    await createLmdb(at("older"));
    const db = openLmdb(join(at("older"), dataFileName));
    await db.remove(seedKey);
    await db.put(schemaKey, sealOrdinal(schemaKey, 2));
    await db.close();
    await lmdbMaintenance(at("older")).backup(at("backup"));
    expect(await lmdbMaintenance(at("restored")).restore(at("backup"))).toBe(0);
  });

  test("names what is damaged in the log, and copies nothing of it", async () => {
    const path = join(killed, walFileName);
    const bytes = readFileSync(path);
    bytes.writeUInt8(bytes.readUInt8(40) ^ 1, 40);
    writeFileSync(path, bytes);
    const message = /^the last commit of the store's write-ahead log is 0, it should be \d or later/;
    expect((await inspect(killed)).damages).toEqual([expect.stringMatching(message)]);
    await expect(lmdbMaintenance(killed).backup(at("backup"))).rejects.toThrow(message);
  });
});
