import { describe, expect, test } from "@jest/globals";
import fc from "fast-check";
import type { RowChange } from "../../../../../server/src/store/lmdb/lmdb-writer.js";
import { OverlaidRows, type RowRange } from "../../../../../server/src/store/lmdb/overlaid-rows.js";

const keys = ["", "a", "ab", "b", "ba", "c"];
const key = fc.constantFrom(...keys);
const rowsOf = fc.dictionary(key, fc.constantFrom("1", "2"));
const changesOf = fc.array(fc.tuple(key, fc.option(fc.constantFrom("3", "4"), { nil: undefined })));

/** Rows in memory, as a tree answers for them. */
class Rows {
  readonly #rows: ReadonlyMap<string, string>;

  constructor(rows: Iterable<readonly [string, string]>) {
    this.#rows = new Map(rows);
  }

  getBinary(of: Uint8Array): Buffer | undefined {
    const value = this.#rows.get(Buffer.from(of).toString());
    return value === undefined ? undefined : Buffer.from(value);
  }

  getRange({ start, end }: RowRange) {
    return keys.flatMap((name) => {
      const value = this.#rows.get(name);
      const row = Buffer.from(name);
      const isIn = (!start || row.compare(start) >= 0) && (!end || row.compare(end) < 0);
      return value === undefined || !isIn ? [] : [{ key: row, value: Buffer.from(value) }];
    });
  }
}

const textOf = (rows: Iterable<{ key: Uint8Array; value: Uint8Array }>) =>
  Array.from(rows, (row) => [Buffer.from(row.key).toString(), Buffer.from(row.value).toString()]);

describe("OverlaidRows", () => {
  test("answers as the tree will once the changes are in it", () => {
    fc.assert(
      fc.property(
        rowsOf,
        changesOf,
        fc.option(key, { nil: undefined }),
        fc.option(key, { nil: undefined }),
        (rows, changes, from, to) => {
          const changed = new Map<string, string>(Object.entries(rows));
          for (const [name, value] of changes) {
            if (value === undefined) changed.delete(name);
            else changed.set(name, value);
          }
          const expected = new Rows(changed);
          const asChange = ([name, value]: (typeof changes)[number]): RowChange => {
            return { key: Buffer.from(name), value: value === undefined ? undefined : Buffer.from(value) };
          };
          const tree = new Rows(Object.entries(rows)) as unknown as ConstructorParameters<typeof OverlaidRows>[0];
          const overlaid = new OverlaidRows(tree, changes.map(asChange));
          const range = {
            ...(from !== undefined && { start: Buffer.from(from) }),
            ...(to !== undefined && { end: Buffer.from(to) }),
          };
          expect(textOf(overlaid.getRange(range))).toEqual(textOf(expected.getRange(range)));
          for (const name of keys) {
            expect(overlaid.getBinary(Buffer.from(name))).toEqual(expected.getBinary(Buffer.from(name)));
          }
        },
      ),
    );
  });
});
