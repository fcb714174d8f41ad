import { describe, expect, test } from "@jest/globals";
import { unwrittenRequests } from "../../../../../server/src/store/lmdb/unwritten-requests.js";
import { RequestTable } from "../../../../../server/src/store/request-table.js";
import type { RemovedRange } from "../../../../../server/src/store/signal-store.js";
import { headerOf } from "../../../../support/log-entries.js";

const perRow = 4;

interface Log {
  readonly head: number;
  readonly rowsThrough?: bigint;
  readonly trimmedThrough?: bigint;
  readonly removed?: readonly (readonly [after: bigint, through: bigint])[];
  readonly maxRows?: number;
}

/** The rows of a log whose requests have the hashes 101, 102, ... by their sequence; first and last sequence of each. */
function rowsOf({ head, rowsThrough = 0n, trimmedThrough = 0n, removed = [], maxRows = 9 }: Log): number[][] {
  const removedRanges: RemovedRange[] = removed.map(([afterSequence, throughSequence]) => {
    return { afterSequence, throughSequence, generation: 1 };
  });
  const table = new RequestTable(1);
  for (let sequence = 1; sequence <= head; sequence++) {
    const isRemoved = removed.some(([after, through]) => sequence > after && sequence <= through);
    if (!isRemoved) table.add(sequence, 100 + sequence);
  }
  const header = headerOf({ headSequence: BigInt(head), removedRanges });
  const runs = unwrittenRequests({ table, rowsThrough }, { header, trimmedThrough, maxRows, perRow });
  return runs.map(({ firstSequence, lastSequence, hashes }) => {
    const first = Number(firstSequence);
    expect(Array.from(hashes)).toEqual(Array.from(hashes, (_, index) => 100 + first + index));
    expect(hashes).toHaveLength(Number(lastSequence) + 1 - first);
    return [first, Number(lastSequence)];
  });
}

describe("unwrittenRequests", () => {
  test("waits until a row is full", () => {
    expect(rowsOf({ head: 3 })).toEqual([]);
    expect(rowsOf({ head: 4 })).toEqual([[1, 4]]);
    expect(rowsOf({ head: 11 })).toEqual([
      [1, 4],
      [5, 8],
    ]);
  });

  test("follows the rows that there are, and what is trimmed", () => {
    expect(rowsOf({ head: 11, rowsThrough: 4n })).toEqual([[5, 8]]);
    expect(rowsOf({ head: 11, rowsThrough: 4n, trimmedThrough: 6n })).toEqual([[7, 10]]);
    expect(rowsOf({ head: 11, rowsThrough: 8n, trimmedThrough: 6n })).toEqual([]);
  });

  test("takes no more rows than it may", () => {
    expect(rowsOf({ head: 40, maxRows: 1 })).toEqual([[1, 4]]);
    expect(rowsOf({ head: 40, maxRows: 0 })).toEqual([]);
  });

  test("ends a row where a rollback has taken out what follows", () => {
    expect(rowsOf({ head: 12, removed: [[6n, 8n]] })).toEqual([
      [1, 4],
      [5, 6],
      [9, 12],
    ]);
    expect(rowsOf({ head: 11, removed: [[6n, 8n]] })).toEqual([
      [1, 4],
      [5, 6],
    ]);
  });

  test("makes nothing of a gap in which the log ends", () => {
    expect(rowsOf({ head: 12, removed: [[2n, 12n]] })).toEqual([[1, 2]]);
    expect(rowsOf({ head: 12, removed: [[2n, 12n]], rowsThrough: 2n })).toEqual([]);
    expect(rowsOf({ head: 12, removed: [[0n, 12n]] })).toEqual([]);
  });
});
