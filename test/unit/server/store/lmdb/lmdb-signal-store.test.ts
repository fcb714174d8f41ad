import { mkdir } from "node:fs/promises";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, test } from "@jest/globals";
import type { LogEntry } from "../../../../../server/src/model/log-entry.js";
import { schemaKey } from "../../../../../server/src/store/lmdb/commit-rows.js";
import { lmdbMaintenance } from "../../../../../server/src/store/lmdb/lmdb-maintenance.js";
import {
  headerKey,
  logKey,
  ordinalPrefix,
  prefixEnd,
  requestsKey,
  schemaVersion,
  sealOrdinal,
  sequenceFromLogKey,
  space,
} from "../../../../../server/src/store/lmdb/lmdb-records.js";
import { openLmdbStore } from "../../../../../server/src/store/lmdb/lmdb-signal-store.js";
import { dataFileName, type LmdbDatabase, openLmdb } from "../../../../../server/src/store/lmdb/open-lmdb.js";
import { RequestRow, sealRequests } from "../../../../../server/src/store/lmdb/request-row.js";
import type { SignalStore } from "../../../../../server/src/store/signal-store.js";
import { entryAt, headerOf, PartWriter } from "../../../../support/log-entries.js";
import { temporaryDirectory } from "../../../../support/temporary-directory.js";

const ordinal = 1;
const requestsPerRow = 4;
const { epoch } = headerOf();
const keyOf = (requestId: string) => `sender\0${requestId}`;

describe("the rows of requests of an LMDB store", () => {
  let directory: Awaited<ReturnType<typeof temporaryDirectory>>;
  let path: string;
  let store: SignalStore;
  let writer: PartWriter;

  beforeEach(async () => {
    directory = await temporaryDirectory();
    path = join(directory.path, "store");
    await mkdir(path);
    writer = new PartWriter();
    await openAgain();
  });
  afterEach(async () => {
    await store.close();
    await directory[Symbol.asyncDispose]();
  });

  const openAgain = async () => {
    store = await openLmdbStore({ directory: path, requestsPerRow });
  };
  /** Does something to the file while no store has it open. */
  const withFile = async <T>(use: (db: LmdbDatabase) => T | Promise<T>): Promise<T> => {
    await store.close();
    const db = openLmdb(join(path, dataFileName));
    try {
      return await use(db);
    } finally {
      await db.close();
      await openAgain();
    }
  };
  const entriesFrom = (first: number, through: number): readonly LogEntry[] =>
    Array.from({ length: through - first + 1 }, (_, at) =>
      entryAt(BigInt(first + at), { requestId: `r${first + at}` }),
    );
  /** Appends signals that the requests r1, r2, ... make, each with a commit of its own. */
  const append = async (first: number, through: number) => {
    for (const entry of entriesFrom(first, through)) await store.commit([writer.write([entry])]);
  };
  const sequencesOf = async (...requestIds: string[]) =>
    (await store.findRequests("c", epoch, requestIds.map(keyOf))).map((entry) => entry && Number(entry.sequence));
  /** The first and last sequence of each row of requests. */
  const rows = () =>
    withFile((db) => {
      const start = ordinalPrefix(space.requests, ordinal);
      return Array.from(db.getRange({ start, end: prefixEnd(start) }), ({ key, value }) => {
        const { firstSequence, lastSequence } = new RequestRow(key, value);
        return [Number(firstSequence), Number(lastSequence)];
      });
    });
  const damages = async () => (await lmdbMaintenance(path).inspect(() => undefined)).damages;

  test("follow the log a commit later, and lead to its signals when it is opened again", async () => {
    await append(1, 10);
    expect(await rows()).toEqual([
      [1, 4],
      [5, 8],
    ]);
    expect(await sequencesOf("r1", "r8", "r9", "r10", "r11")).toEqual([1, 8, 9, 10, undefined]);
    expect(await damages()).toEqual([]);
  });

  test("go on where they ended when the store was opened again", async () => {
    await append(1, 6);
    await store.close();
    await openAgain();
    await append(7, 9);
    expect(await rows()).toEqual([[1, 4]]);
    // Its requests were not asked for: they get their rows when they were.
    expect(await sequencesOf("r9")).toEqual([9]);
    await append(10, 10);
    expect(await rows()).toEqual([
      [1, 4],
      [5, 8],
    ]);
  });

  test("hold signals without a request too", async () => {
    await store.commit([writer.write([entryAt(1n), entryAt(2n), ...entriesFrom(3, 5)])]);
    await store.commit([writer.write([entryAt(6n)])]);
    expect(await rows()).toEqual([[1, 4]]);
    expect(await sequencesOf("r3", "r1")).toEqual([3, undefined]);
    expect(await damages()).toEqual([]);
  });

  test("leave with the signals that are trimmed", async () => {
    await append(1, 11);
    await store.commit([writer.write([], { oldestSequence: 7n, trimmedThroughSequence: 6n })]);
    expect(await rows()).toEqual([[5, 8]]);
    expect(await sequencesOf("r4", "r6", "r7", "r9")).toEqual([undefined, undefined, 7, 9]);
    expect(await damages()).toEqual([]);
  });

  test("are cut by a rollback, and go on behind it", async () => {
    await append(1, 9);
    const removedRanges = [{ afterSequence: 6n, throughSequence: 9n, generation: 1 }];
    await store.commit([writer.write([], { removedRanges, headSequence: 9n }, { removeAfterSequence: 6n })]);
    expect(await damages()).toEqual([]);
    expect(await sequencesOf("r6", "r7")).toEqual([6, undefined]);
    await append(10, 14);
    expect(await rows()).toEqual([
      [1, 4],
      [5, 6],
      [10, 13],
    ]);
    expect(await sequencesOf("r6", "r7", "r10", "r14")).toEqual([6, undefined, 10, 14]);
    expect(await damages()).toEqual([]);
  });

  test("are gone where one commit trims through the signal that it rolls back to", async () => {
    await store.commit([writer.write(entriesFrom(1, 4))]);
    await append(5, 5);
    const removedRanges = [{ afterSequence: 3n, throughSequence: 5n, generation: 1 }];
    const header = { oldestSequence: 4n, trimmedThroughSequence: 3n, headSequence: 5n, removedRanges };
    await store.commit([writer.write([], header, { removeAfterSequence: 3n })]);
    expect(await rows()).toEqual([]);
    const logRows = await withFile((db) => db.getKeysCount({ start: logKey(ordinal, 0n), end: headerKey(ordinal) }));
    expect(logRows).toBe(0);
    expect(await damages()).toEqual([]);
  });

  test("go with a coordination that is removed", async () => {
    await append(1, 9);
    await store.commit([writer.remove("c")]);
    await store.commit([writer.write([], { coordinationId: "d" })]);
    expect(await rows()).toEqual([]);
    expect(await damages()).toEqual([]);
  });

  test("are in a backup and in what is restored from it", async () => {
    await append(1, 9);
    const [backup, restored] = [join(directory.path, "backup"), join(directory.path, "restored")];
    await lmdbMaintenance(path).backup(backup);
    await lmdbMaintenance(restored).restore(backup);
    await store.close();
    path = restored;
    await openAgain();
    expect(await rows()).toHaveLength(2);
    expect(await damages()).toEqual([]);
  });

  test.each([3, 4])("are written for the log of a store of layout %d once it is in use", async (layout) => {
    await append(1, 9);
    await withFile(async (db) => {
      for (const sequence of [4n, 8n]) await db.remove(requestsKey(ordinal, sequence));
      await db.put(schemaKey, sealOrdinal(schemaKey, layout));
    });
    expect(await withFile((db) => Buffer.from(db.getBinary(schemaKey) ?? []))).toEqual(
      sealOrdinal(schemaKey, schemaVersion),
    );
    expect(await sequencesOf("r1", "r9", "r10")).toEqual([1, 9, undefined]);
    await append(10, 10);
    expect(await rows()).toEqual([
      [1, 4],
      [5, 8],
    ]);
    expect(await damages()).toEqual([]);
  });

  test("are not needed where the last of them are missing, but where others follow", async () => {
    await append(1, 13);
    await withFile((db) => db.remove(requestsKey(ordinal, 12n)));
    expect(await sequencesOf("r12", "r14")).toEqual([12, undefined]);
    await withFile((db) => db.remove(requestsKey(ordinal, 4n)));
    await expect(sequencesOf("r14")).rejects.toThrow(`signal 1 of "c" is not where it should be`);
    expect(await damages()).toEqual([`"c" has a row of the requests of signals 5 to 8 where 1 should follow`]);
  });

  test("are not believed where one is damaged", async () => {
    await append(1, 9);
    await withFile((db) => db.put(requestsKey(ordinal, 8n), Buffer.alloc(20)));
    await expect(sequencesOf("r10")).rejects.toThrow("its checksum does not fit");
    expect(await damages()).toEqual([expect.stringContaining("its checksum does not fit")]);
  });

  test("are compared with the log when the store is inspected", async () => {
    await append(1, 9);
    await withFile(async (db) => {
      const key = requestsKey(ordinal, 8n);
      const run = new RequestRow(key, db.getBinary(key) ?? Buffer.of()).through(8n);
      await db.put(key, sealRequests(key, { ...run, hashes: [1, 2, 3, 4] }));
    });
    expect(await damages()).toEqual([`the request that made signal 5 of "c" is known as another one`]);
  });

  test("do not stand for signals that are missing", async () => {
    await append(1, 9);
    await withFile((db) => db.remove(logKey(ordinal, 3n)));
    await expect(sequencesOf("r3")).rejects.toThrow("a request made signal 3, which is missing");
    expect(await damages()).toEqual([`"c" has signal 4 where 3 should follow 2`]);
  });

  test("belong to the log whose sequences they have", async () => {
    await append(1, 9);
    await withFile(async (db) => {
      const key = requestsKey(ordinal, 12n);
      await db.put(key, sealRequests(key, { firstSequence: 9n, lastSequence: 12n, hashes: [1, 2, 3, 4] }));
      expect(sequenceFromLogKey(key)).toBe(12n);
    });
    await expect(sequencesOf("r10")).rejects.toThrow(`signal 13 of "c" is not where it should be`);
    expect(await damages()).toContain(`"c" has a row of the requests of signals 9 to 12 where 9 should follow`);
  });
});
