import { describe, expect, test } from "@jest/globals";
import type { LogEntry } from "../../../../../server/src/model/log-entry.js";
import { logKey, seal } from "../../../../../server/src/store/lmdb/lmdb-records.js";
import { chunksOf, LogChunk, sealChunk } from "../../../../../server/src/store/lmdb/log-chunk.js";
import { type HashSeed, requestHash } from "../../../../../server/src/store/request-hash.js";
import { entryAt } from "../../../../support/log-entries.js";

const seed: HashSeed = [1, 2];

function entries(from: number, through: number, length = 10): readonly LogEntry[] {
  return Array.from({ length: through - from + 1 }, (_, index) =>
    entryAt(BigInt(from + index), {
      requestId: index % 2 === 0 ? `r${from + index}` : "",
      event: { case: "interAgentMessage", value: { message: "x".repeat(length) } },
    }),
  );
}

const bounds = (of: readonly LogEntry[]) =>
  [...chunksOf(seed, of)].map(({ firstSequence, lastSequence }) => [Number(firstSequence), Number(lastSequence)]);

describe("the rows of a log", () => {
  test("are one for the entries of a commit, and more where those are many, large or apart", () => {
    expect(bounds([])).toEqual([]);
    expect(bounds(entries(5, 9))).toEqual([[5, 9]]);
    expect(bounds(entries(1, 600))).toEqual([
      [1, 256],
      [257, 512],
      [513, 600],
    ]);
    expect(bounds([...entries(1, 2), ...entries(7, 8)])).toEqual([
      [1, 2],
      [7, 8],
    ]);
    expect(bounds(entries(1, 3, 40_000))).toEqual([
      [1, 1],
      [2, 2],
      [3, 3],
    ]);
    expect(bounds(entries(1, 3, 100_000))).toEqual([
      [1, 1],
      [2, 2],
      [3, 3],
    ]);
  });

  test("hold the bytes of each entry and the hash of its request", () => {
    const written = entries(3, 6);
    const [chunk] = chunksOf(seed, written);
    if (chunk === undefined) throw new Error("there is no row");
    const key = logKey(1, 6n);
    const read = LogChunk.open(key, sealChunk(key, chunk));
    expect([read.firstSequence, read.lastSequence, read.count]).toEqual([3n, 6n, 4]);
    for (const [index, entry] of written.entries()) {
      expect(read.entryAt(index).sequence).toBe(entry.sequence);
      expect(Buffer.from(read.entryAt(index).bytes)).toEqual(Buffer.from(entry.bytes));
      expect(read.entryAt(index).requestKey).toBe(entry.requestKey);
      const hash = entry.requestKey === undefined ? 0 : requestHash(seed, entry.requestKey);
      expect(read.hashAt(index)).toBe(hash);
    }
  });

  test("keep their first entries when the others are taken out", () => {
    const [chunk] = chunksOf(seed, entries(3, 6));
    if (chunk === undefined) throw new Error("there is no row");
    const key = logKey(1, 6n);
    const rest = LogChunk.open(key, sealChunk(key, chunk)).through(4n);
    const restKey = logKey(1, 4n);
    const read = LogChunk.open(restKey, sealChunk(restKey, rest));
    expect([read.firstSequence, read.lastSequence]).toEqual([3n, 4n]);
    expect([read.entryAt(0).requestKey, read.entryAt(1).requestKey]).toEqual(["sender\0r3", undefined]);
    expect([read.hashAt(0), read.hashAt(1)]).toEqual([chunk.hashes[0], 0]);
  });

  test("are not believed when they hold nothing, or more than there can be", () => {
    const key = logKey(1, 2n);
    for (const count of [0, 3]) {
      const value = Buffer.alloc(40);
      value.writeUInt32BE(count);
      expect(() => LogChunk.open(key, seal(key, value))).toThrow("it has no entries");
    }
  });
});
