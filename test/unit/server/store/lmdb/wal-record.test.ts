import { describe, expect, test } from "@jest/globals";
import fc from "fast-check";
import type { RowChange } from "../../../../../server/src/store/lmdb/lmdb-writer.js";
import {
  readWalRecords,
  rowsOfWal,
  walRecordBytes,
  writeWalRecord,
} from "../../../../../server/src/store/lmdb/wal-record.js";

const salt = 7;
const bytesOf = (maxLength: number) => fc.uint8Array({ maxLength }).map((bytes) => Buffer.from(bytes));
const changes = fc.array(
  fc.record<RowChange>({ key: bytesOf(20), value: fc.option(bytesOf(40), { nil: undefined }) }),
  { minLength: 1, maxLength: 4 },
);
const commits = fc.array(changes, { minLength: 1, maxLength: 5 });

/** Commits with the numbers 5, 6, ... one behind the other, and room behind them. */
function written(of: readonly (readonly RowChange[])[]) {
  const bytes = Buffer.alloc(of.reduce((sum, each) => sum + walRecordBytes(each), 50));
  let start = 0;
  const records = of.map((each, index) => {
    const record = writeWalRecord(bytes, { start, number: BigInt(5 + index), transaction: 3n, salt, changes: each });
    start = record.end;
    return record;
  });
  return { bytes, records };
}

const rows = (bytes: Buffer, stretch: { start: number; end: number }) =>
  Array.from(rowsOfWal(bytes, stretch), ({ key, value }) => ({
    key: Buffer.from(key),
    value: value && Buffer.from(value),
  }));

describe("the records of the write-ahead log", () => {
  test("hold the rows of each commit, in their order", () => {
    fc.assert(
      fc.property(commits, (of) => {
        const { bytes, records } = written(of);
        expect(readWalRecords(bytes, salt)).toEqual(records);
        expect(records.map((record) => rows(bytes, record))).toEqual(of);
        expect(rows(bytes, { start: 0, end: records.at(-1)?.end ?? 0 })).toEqual(of.flat());
      }),
    );
  });

  test("are whole or none, wherever they are cut off", () => {
    fc.assert(
      fc.property(commits, fc.nat(), (of, place) => {
        const { bytes, records } = written(of);
        const end = place % ((records.at(-1)?.end ?? 0) + 1);
        // What was there before is taken for a torn part of the last one.
        bytes.fill(0xaa, end);
        const whole = records.filter((record) => record.end <= end);
        expect(readWalRecords(bytes, salt)).toEqual(whole);
        expect(readWalRecords(bytes.subarray(0, end), salt)).toEqual(whole);
      }),
    );
  });

  test("end at the first in which a bit has flipped", () => {
    fc.assert(
      fc.property(commits, fc.nat(), fc.integer({ min: 0, max: 7 }), (of, place, bit) => {
        const { bytes, records } = written(of);
        const at = place % (records.at(-1)?.end ?? 1);
        bytes.writeUInt8(bytes.readUInt8(at) ^ (1 << bit), at);
        expect(readWalRecords(bytes, salt)).toEqual(records.filter((record) => record.end <= at));
      }),
    );
  });

  test("end where an older one follows, that the region held before", () => {
    const change = [{ key: Buffer.from("a"), value: Buffer.from("1") }];
    const { bytes, records } = written([change, change, change]);
    writeWalRecord(bytes, { start: 0, number: 8n, transaction: 3n, salt, changes: change });
    expect(records).toHaveLength(3);
    expect(readWalRecords(bytes, salt).map(({ number }) => number)).toEqual([8n]);
  });

  test("are none of another store's", () => {
    const { bytes } = written([[{ key: Buffer.from("a"), value: undefined }]]);
    expect(readWalRecords(bytes, salt + 1)).toEqual([]);
  });

  test("are none where nothing was ever written", () => {
    expect(readWalRecords(Buffer.alloc(100), salt)).toEqual([]);
  });
});
