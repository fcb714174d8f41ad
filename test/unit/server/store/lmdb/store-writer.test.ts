import { mkdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { afterEach, beforeEach, describe, expect, jest, test } from "@jest/globals";
import { sealFileName } from "../../../../../server/src/store/lmdb/commit-seal.js";
import { createLmdb } from "../../../../../server/src/store/lmdb/create-lmdb.js";
import { headerKey, logKey, noCounts } from "../../../../../server/src/store/lmdb/lmdb-records.js";
import { LmdbWriter } from "../../../../../server/src/store/lmdb/lmdb-writer.js";
import { dataFileName, type LmdbDatabase, openLmdb } from "../../../../../server/src/store/lmdb/open-lmdb.js";
import { openStoreWriter, type StoreCommit, StoreWriter } from "../../../../../server/src/store/lmdb/store-writer.js";
import { regionBytes, saltOf, walFileName } from "../../../../../server/src/store/lmdb/wal-contents.js";
import { WriteAheadLog } from "../../../../../server/src/store/lmdb/write-ahead-log.js";
import { copyAsKilled } from "../../../../support/copy-as-killed.js";
import { headerOf } from "../../../../support/log-entries.js";
import { temporaryDirectory } from "../../../../support/temporary-directory.js";

const ordinal = 1;
const smallBytes = 100;
/** More than goes into the log. */
const largeBytes = 100_000;

/** All but what ends a wait. */
const realTimers = [
  "Date",
  "hrtime",
  "nextTick",
  "performance",
  "queueMicrotask",
  "setImmediate",
  "clearImmediate",
  "setInterval",
  "clearInterval",
] as const;

/** A commit of one row of the log, and the header. */
function commitOf(sequence: bigint, bytes = smallBytes): StoreCommit {
  const header = { header: headerOf({ headSequence: sequence }), ordinal, counts: noCounts };
  return {
    changes: [
      { key: logKey(ordinal, sequence), value: Buffer.alloc(bytes, Number(sequence)) },
      { key: headerKey(ordinal), value: Buffer.from(`header ${sequence}`) },
    ],
    headers: new Map([["c", header]]),
    isLoggable: true,
  };
}

describe("StoreWriter", () => {
  let directory: Awaited<ReturnType<typeof temporaryDirectory>>;
  let place: string;
  let db: LmdbDatabase;
  let writer: StoreWriter;

  beforeEach(async () => {
    directory = await temporaryDirectory();
    await newStore("store");
    await openAgain();
  });
  afterEach(async () => {
    jest.useRealTimers();
    await writer.close();
    await directory[Symbol.asyncDispose]();
  });

  const newStore = async (name: string) => {
    place = join(directory.path, name);
    mkdirSync(place);
    await createLmdb(place);
  };
  const openAgain = async (turnBytes = regionBytes) => {
    const path = join(place, dataFileName);
    db = openLmdb(path);
    const tree = new LmdbWriter(db, path);
    try {
      writer = await openStoreWriter({ db, tree, directory: place, turnBytes });
    } catch (error) {
      await tree.close();
      throw error;
    }
  };
  /** Goes on with what a kill would have left. */
  const killAndOpen = async (damage: (walPath: string) => void = () => undefined) => {
    const killed = `${place}-killed`;
    copyAsKilled(place, killed);
    await writer.close();
    place = killed;
    damage(join(place, walFileName));
    await openAgain();
  };
  const sequencesInTree = () =>
    Array.from(db.getKeys({ start: logKey(ordinal, 0n), end: headerKey(ordinal) }), (key) =>
      Buffer.from(key).readBigUInt64BE(5),
    );
  const sequencesPending = () => writer.pending.logRows(ordinal, 0n).map(({ lastSequence }) => lastSequence);

  test("keeps a small commit in the log until the tree is asked for", async () => {
    await writer.commit(commitOf(1n));
    await writer.commit(commitOf(2n));
    expect([sequencesInTree(), sequencesPending()]).toEqual([[], [1n, 2n]]);
    expect(writer.pending.header("c")?.header.headSequence).toBe(2n);
    await writer.drain();
    expect([sequencesInTree(), sequencesPending()]).toEqual([[1n, 2n], []]);
    expect(writer.pending.header("c")).toBeUndefined();
  });

  test("takes what waits along into the tree with a large one, and with one that takes rows away", async () => {
    await writer.commit(commitOf(1n));
    await writer.commit(commitOf(2n, largeBytes));
    expect(sequencesInTree()).toEqual([1n, 2n]);
    await writer.commit(commitOf(3n));
    await writer.commit({ ...commitOf(4n), isLoggable: false });
    expect([sequencesInTree(), sequencesPending()]).toEqual([[1n, 2n, 3n, 4n], []]);
  });

  test("puts commits into the tree when they have waited for ten seconds", async () => {
    jest.useFakeTimers({ doNotFake: [...realTimers] });
    await writer.commit(commitOf(1n));
    jest.advanceTimersByTime(9_999);
    expect(writer.pending.isEmpty).toBe(false);
    jest.advanceTimersByTime(1);
    expect(writer.pending.isEmpty).toBe(true);
    jest.useRealTimers();
    await writer.drain();
    expect(sequencesInTree()).toEqual([1n]);
  });

  test("goes on in the other region when one is full, and back, with nothing lost in between", async () => {
    await writer.close();
    await openAgain(10 * smallBytes);
    const sequences = Array.from({ length: 200 }, (_, index) => BigInt(index + 1));
    for (const sequence of sequences) {
      await writer.commit(commitOf(sequence));
      // What has just arrived may still wait, too.
      expect([...new Set([...sequencesInTree(), ...sequencesPending()])]).toEqual(sequences.slice(0, Number(sequence)));
    }
    await killAndOpen();
    expect(sequencesInTree()).toEqual(sequences);
  });

  test("finds what was in the log when it is opened after a kill, and goes on behind it", async () => {
    await writer.commit(commitOf(1n));
    await writer.commit(commitOf(2n));
    await killAndOpen();
    expect(sequencesInTree()).toEqual([1n, 2n]);
    expect(Buffer.from(db.getBinary(headerKey(ordinal)) ?? []).toString()).toBe("header 2");
    await writer.commit(commitOf(3n));
    await killAndOpen();
    expect([sequencesInTree(), sequencesPending()]).toEqual([[1n, 2n, 3n], []]);
  });

  test.each([
    [
      "a bit has flipped in the first commit",
      30,
      "the last commit of the store's write-ahead log is 0, it should be 2",
    ],
    [
      "a bit has flipped in the last commit",
      250,
      "the last commit of the store's write-ahead log is 1, it should be 2",
    ],
  ])("is not opened where %s of the log", async (_what, at, message) => {
    await writer.commit(commitOf(1n));
    await writer.commit(commitOf(2n));
    const flip = (path: string): void => {
      const bytes = readFileSync(path);
      bytes.writeUInt8(bytes.readUInt8(at) ^ 1, at);
      writeFileSync(path, bytes);
    };
    await expect(killAndOpen(flip)).rejects.toThrow(message);
    await openAfterLoss();
  });

  test("is not opened where the log is gone", async () => {
    await writer.commit(commitOf(1n));
    await expect(killAndOpen((path) => rmSync(path))).rejects.toThrow("it should be 1 or later");
    await openAfterLoss();
  });

  test("is not opened where an older data file lies beside the log, without a commit that went into the tree only", async () => {
    await writer.commit(commitOf(1n));
    await writer.drain();
    const older = readFileSync(join(place, dataFileName));
    await writer.commit(commitOf(2n, largeBytes));
    await writer.commit(commitOf(3n));
    const replace = (path: string): void => {
      writeFileSync(join(dirname(path), dataFileName), older);
      rmSync(join(dirname(path), sealFileName));
    };
    await expect(killAndOpen(replace)).rejects.toThrow(/it follows transaction \d+ of the file, whose last is \d+/);
    await openAfterLoss();
  });

  test("is opened with another store's log beside it, of which it takes nothing", async () => {
    await writer.commit(commitOf(1n));
    await writer.close();
    const log = readFileSync(join(place, walFileName));
    await newStore("other");
    writeFileSync(join(place, walFileName), log);
    await openAgain();
    expect(sequencesInTree()).toEqual([]);
  });

  test("tells whoever comes next that the way into the tree has failed, and loses nothing", async () => {
    await writer.commit(commitOf(1n));
    await writer.close();
    await openAgain();
    const last = { number: 1n, checksum: undefined };
    const tree = {
      lastTransaction: 1n,
      commit: () => Promise.reject(new Error("the disk is full")),
      close: async () => undefined,
    };
    const failing = new StoreWriter(tree, WriteAheadLog.open(place, saltOf(db), last), 1);
    await failing.commit(commitOf(2n));
    await expect(failing.drain()).rejects.toThrow("the disk is full");
    await expect(failing.commit(commitOf(3n))).rejects.toThrow("the disk is full");
    await failing.close();
    await killAndOpen();
    expect(sequencesInTree()).toEqual([1n, 2n]);
  });

  /** Something to close when the test is over. */
  const openAfterLoss = async () => {
    await newStore("fresh");
    await openAgain();
  };
});
