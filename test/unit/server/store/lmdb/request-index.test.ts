import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, test } from "@jest/globals";
import { createLmdb } from "../../../../../server/src/store/lmdb/create-lmdb.js";
import { logKey, noCounts } from "../../../../../server/src/store/lmdb/lmdb-records.js";
import { chunksOf, sealChunk } from "../../../../../server/src/store/lmdb/log-chunk.js";
import { LogRows } from "../../../../../server/src/store/lmdb/log-rows.js";
import { dataFileName, type LmdbDatabase, openLmdb } from "../../../../../server/src/store/lmdb/open-lmdb.js";
import { PendingRows } from "../../../../../server/src/store/lmdb/pending-rows.js";
import { RequestIndex } from "../../../../../server/src/store/lmdb/request-index.js";
import type { HashSeed } from "../../../../../server/src/store/request-hash.js";
import type { CoordinationHeader } from "../../../../../server/src/store/signal-store.js";
import { entryAt, headerOf } from "../../../../support/log-entries.js";
import { temporaryDirectory } from "../../../../support/temporary-directory.js";

const ordinal = 1;
const perRow = 4;
const seed: HashSeed = [3, 4];

describe("RequestIndex", () => {
  let directory: Awaited<ReturnType<typeof temporaryDirectory>>;
  let db: LmdbDatabase;
  let index: RequestIndex;

  beforeEach(async () => {
    directory = await temporaryDirectory();
    await createLmdb(directory.path);
    db = openLmdb(join(directory.path, dataFileName));
    index = new RequestIndex(db, new LogRows(db, new PendingRows()), perRow);
  });
  afterEach(async () => {
    await db.close();
    await directory[Symbol.asyncDispose]();
  });

  const chunkOf = (requestIds: readonly string[], firstSequence: number) => {
    const entries = requestIds.map((requestId, at) => entryAt(BigInt(firstSequence + at), { requestId }));
    const [chunk] = chunksOf(seed, entries);
    if (chunk === undefined) throw new Error("there is no row");
    return chunk;
  };
  /** Stores the entries of requests in one row. */
  const store = async (requestIds: readonly string[], firstSequence = 1) => {
    const chunk = chunkOf(requestIds, firstSequence);
    const key = logKey(ordinal, chunk.lastSequence);
    await db.put(key, sealChunk(key, chunk));
    return chunk;
  };
  const storedWith = (header: Partial<CoordinationHeader>) => ({ header: headerOf(header), ordinal, counts: noCounts });
  const sequenceOf = (requestId: string) => index.find(ordinal, seed, `sender\0${requestId}`)?.sequence;

  test("finds the entry that a request made, and that there is none", async () => {
    await store(["a", "", "b"]);
    expect(index.has(ordinal)).toBe(false);
    index.read(storedWith({ headSequence: 3n }));
    expect(index.has(ordinal)).toBe(true);
    expect([sequenceOf("a"), sequenceOf("b"), sequenceOf("c")]).toEqual([1n, 3n, undefined]);
  });

  test("follows the commits", async () => {
    const change = { ordinal, isNew: true, removedAfter: undefined, trimmedThrough: 0n, rowsThrough: undefined };
    index.apply({ ...change, added: [await store(["a", "b"])] });
    expect([sequenceOf("a"), sequenceOf("b")]).toEqual([1n, 2n]);
    index.apply({ ...change, isNew: false, added: [await store(["c"], 3)], trimmedThrough: 1n });
    expect([sequenceOf("a"), sequenceOf("b"), sequenceOf("c")]).toEqual([undefined, 2n, 3n]);
    index.apply({ ...change, isNew: false, added: [await store(["b"], 9)], removedAfter: 2n, trimmedThrough: 1n });
    expect([sequenceOf("b"), sequenceOf("c")]).toEqual([9n, undefined]);
    index.forget(ordinal);
    expect(index.has(ordinal)).toBe(false);
  });

  test("reads nothing of a log that nobody has asked for", async () => {
    const change = { ordinal, isNew: false, removedAfter: undefined, trimmedThrough: 0n, rowsThrough: undefined };
    index.apply({ ...change, added: [await store(["a"])] });
    expect(index.has(ordinal)).toBe(false);
  });

  test("tells requests apart whose hashes are the same", async () => {
    const { hashes, ...chunk } = chunkOf(["a", "b"], 1);
    const same = { ...chunk, hashes: hashes.map(() => hashes[0] ?? 0) };
    const key = logKey(ordinal, 2n);
    await db.put(key, sealChunk(key, same));
    index.read(storedWith({ headSequence: 2n }));
    expect(sequenceOf("a")).toBe(1n);
  });

  test("passes over what was trimmed, and what a rollback took out", async () => {
    await store(["a", "b", "c"]);
    await store(["d"], 6);
    const removedRanges = [{ afterSequence: 3n, throughSequence: 5n, generation: 1 }];
    index.read(storedWith({ headSequence: 6n, trimmedThroughSequence: 2n, removedRanges }));
    expect(["a", "b", "c", "d"].map(sequenceOf)).toEqual([undefined, undefined, 3n, 6n]);
  });

  test.each([
    ["the first row", 1n, "signal 1"],
    ["a row between others", 2n, "signal 2"],
    ["the last row", 3n, "signal 3"],
  ])("believes no absence where %s is missing", async (_, missing, name) => {
    for (const sequence of [1n, 2n, 3n]) if (sequence !== missing) await store([`r${sequence}`], Number(sequence));
    expect(() => index.read(storedWith({ headSequence: 3n }))).toThrow(`${name} of "c" is not where it should be`);
    expect(index.has(ordinal)).toBe(false);
  });

  test("believes no absence where a row is damaged", async () => {
    await store(["a"]);
    await db.put(logKey(ordinal, 2n), Buffer.from("damaged!"));
    expect(() => index.read(storedWith({ headSequence: 2n }))).toThrow("its checksum does not fit");
  });

  test("finds out an entry that is missing later", async () => {
    await store(["a"]);
    index.read(storedWith({ headSequence: 1n }));
    await db.remove(logKey(ordinal, 1n));
    expect(() => sequenceOf("a")).toThrow("a request made signal 1, which is missing");
  });

  test("forgets the log that was not asked for longest, never the one in use", () => {
    const change = { isNew: true, removedAfter: undefined, trimmedThrough: 0n, rowsThrough: undefined };
    const added = [{ firstSequence: 2_000_000n, hashes: [1] }];
    index.apply({ ...change, ordinal: 1, added: [] });
    index.apply({ ...change, ordinal: 2, added });
    index.touch(1);
    index.apply({ ...change, ordinal: 3, added });
    expect([1, 2, 3].map((each) => index.has(each))).toEqual([true, false, true]);
    index.apply({ ...change, ordinal: 4, added: [{ firstSequence: 3_000_000n, hashes: [1] }] });
    expect([1, 3, 4].map((each) => index.has(each))).toEqual([false, false, true]);
  });
});
