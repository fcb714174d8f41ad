import { describe, expect, test } from "@jest/globals";
import { RowBatch } from "../../../../../server/src/store/lmdb/row-batch.js";

const key = Buffer.from("a");
const value = Buffer.from("1");

/** A batch on a store that holds these rows. */
const batchOn = (...rows: readonly string[]): RowBatch =>
  new RowBatch((found) => rows.includes(Buffer.from(found).toString()));

describe("RowBatch", () => {
  test("keeps what is to be done in its order", () => {
    const batch = batchOn();
    batch.put(key, value);
    batch.remove(key);
    expect(batch.changes).toEqual([
      { key, value },
      { key, value: undefined },
    ]);
  });

  test("counts a row that is set as one more only where there was none", () => {
    expect(batchOn().putCounted(key, value)).toBe(1);
    expect(batchOn("a").putCounted(key, value)).toBe(0);
  });

  test("counts a row that is removed as one less only where there was one", () => {
    const batch = batchOn();
    expect(batch.removeCounted(key)).toBe(0);
    expect(batch.changes).toEqual([]);
    expect(batchOn("a").removeCounted(key)).toBe(1);
  });

  test("counts what the batch itself has done before the store as it was", () => {
    const batch = batchOn("a");
    expect([batch.removeCounted(key), batch.removeCounted(key), batch.putCounted(key, value)]).toEqual([1, 0, 1]);
    expect([batch.putCounted(key, value), batch.removeCounted(key)]).toEqual([0, 1]);
    expect(batch.changes.map((change) => change.value !== undefined)).toEqual([false, true, true, false]);
  });

  test("tells keys apart that differ in bytes that are no text", () => {
    const batch = batchOn();
    expect(batch.putCounted(Buffer.of(0xff), value)).toBe(1);
    expect(batch.putCounted(Buffer.of(0xfe), value)).toBe(1);
  });
});
