import { describe, expect, test } from "@jest/globals";
import fc from "fast-check";
import { RequestTable } from "../../../../server/src/store/request-table.js";

describe("RequestTable", () => {
  test("finds what was added by its hash, the newest first", () => {
    const table = new RequestTable(1);
    for (const [index, hash] of [7, 9, 7, 0].entries()) table.add(index + 1, hash);
    expect(table.find(7)).toEqual([3, 1]);
    expect(table.find(9)).toEqual([2]);
    expect(table.find(8)).toEqual([]);
  });

  test("passes over what it has already", () => {
    const table = new RequestTable(5);
    table.add(5, 1);
    table.add(5, 2);
    table.add(4, 3);
    expect([table.find(1), table.find(2), table.find(3)]).toEqual([[5], [], []]);
  });

  test("takes no more room the more signals have come and gone", () => {
    const table = new RequestTable(1);
    for (let sequence = 1; sequence <= 20_000; sequence++) {
      table.add(sequence, sequence);
      table.removeThrough(sequence - 100);
    }
    expect(table.capacity).toBeLessThan(400);
    expect([table.find(19_900), table.find(19_901)]).toEqual([[], [19_901]]);
  });

  const step = fc.oneof(
    fc.record({ add: fc.integer({ min: 0, max: 6 }), gap: fc.constantFrom(0, 0, 0, 5) }),
    fc.record({ removeThrough: fc.nat({ max: 30 }) }),
    fc.record({ removeAfter: fc.nat({ max: 30 }) }),
  );

  test("knows the same as a list of all signals", () => {
    fc.assert(
      fc.property(fc.array(step, { maxLength: 200 }), (steps) => {
        const table = new RequestTable(1);
        let signals: { readonly sequence: number; readonly hash: number }[] = [];
        let [first, head] = [1, 0];
        for (const each of steps) {
          if ("add" in each) {
            head += 1 + each.gap;
            table.add(head, each.add);
            signals.push({ sequence: head, hash: each.add });
          } else if ("removeThrough" in each) {
            first = Math.max(first, Math.min(head, first + each.removeThrough - 1) + 1);
            table.removeThrough(first - 1);
            signals = signals.filter(({ sequence }) => sequence >= first);
          } else {
            const after = Math.max(first - 1, head - each.removeAfter);
            table.removeAfter(after);
            signals = signals.filter(({ sequence }) => sequence <= after);
          }
        }
        for (const hash of [1, 2, 3, 4, 5, 6]) {
          const expected = signals.filter((signal) => signal.hash === hash).map(({ sequence }) => sequence);
          expect(table.find(hash)).toEqual(expected.reverse());
        }
      }),
    );
  });
});
