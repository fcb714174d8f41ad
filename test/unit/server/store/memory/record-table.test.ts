import { describe, expect, test } from "@jest/globals";
import fc from "fast-check";
import { compareKeys } from "../../../../../server/src/store/memory/compare-keys.js";
import { RecordTable } from "../../../../../server/src/store/memory/record-table.js";

const key = fc.oneof(
  fc.constantFrom("", "a", "ab", "a\0", "B", "é", "\ud7ff", "\ue000", "\uffff", "\u{10000}", "\u{10ffff}"),
  fc.string({ unit: "grapheme", maxLength: 3 }),
  fc.integer({ min: 0, max: 99 }).map((number) => String(number).padStart(4, "0")),
);
const step = fc.oneof(
  { weight: 5, arbitrary: fc.record({ set: key }) },
  { weight: 2, arbitrary: fc.record({ delete: key }) },
  { weight: 1, arbitrary: fc.record({ removeBefore: key }) },
  {
    weight: 3,
    arbitrary: fc.record({
      read: fc.option(key, { nil: undefined }),
      descending: fc.boolean(),
      limit: fc.integer({ min: 1, max: 9 }),
    }),
  },
);

function compareBytes(a: string, b: string): number {
  return Buffer.compare(Buffer.from(a), Buffer.from(b));
}

describe("RecordTable", () => {
  test("answers as a list would that is sorted by the keys' bytes", () => {
    fc.assert(
      fc.property(fc.array(step, { maxLength: 80 }), (steps) => {
        const table = new RecordTable();
        let records = new Map<string, Uint8Array>();
        for (const [number, each] of steps.entries()) {
          if ("set" in each) {
            const value = Uint8Array.of(number);
            table.set(each.set, value);
            records.set(each.set, value);
          } else if ("delete" in each) {
            table.delete(each.delete);
            records.delete(each.delete);
          } else if ("removeBefore" in each) {
            table.removeBefore(each.removeBefore);
            records = new Map([...records].filter(([name]) => compareBytes(name, each.removeBefore) >= 0));
          } else {
            const { read: fromKey, descending, limit } = each;
            const direction = descending ? -1 : 1;
            const expected = [...records]
              .filter(([name]) => fromKey === undefined || compareBytes(name, fromKey) * direction > 0)
              .sort(([a], [b]) => compareBytes(a, b) * direction);
            expect(table.read({ fromKey, descending, limit })).toEqual(expected.slice(0, limit));
          }
        }
        expect(new Map(table.entries())).toEqual(records);
      }),
      { numRuns: 300 },
    );
  });
});

describe("compareKeys", () => {
  test("puts keys in the order of their bytes", () => {
    fc.assert(
      fc.property(key, key, (a, b) => {
        expect(Math.sign(compareKeys(a, b))).toBe(compareBytes(a, b));
      }),
      { numRuns: 500 },
    );
  });
});
