import { describe, expect, test } from "@jest/globals";
import { rangesAfter, removedRangeAt, withRemovedRange } from "../../../../server/src/state/removed-ranges.js";

const range = (after: number, through: number, generation: number) => ({
  afterSequence: BigInt(after),
  throughSequence: BigInt(through),
  generation,
});

describe("withRemovedRange", () => {
  test("keeps what lies before it and takes in what lies inside", () => {
    const one = withRemovedRange([], range(5, 10, 1));
    const two = withRemovedRange(one, range(12, 15, 2));
    expect(two).toEqual([range(5, 10, 1), range(12, 15, 2)]);
    expect(withRemovedRange(two, range(12, 20, 3))).toEqual([range(5, 10, 1), range(12, 20, 3)]);
    expect(withRemovedRange(two, range(3, 20, 3))).toEqual([range(3, 20, 3)]);
  });
});

describe("rangesAfter", () => {
  test("drops those that no position in the history can lie in", () => {
    const ranges = [range(2, 4, 1), range(6, 9, 2)];
    expect(rangesAfter(ranges, 3n)).toEqual(ranges);
    expect(rangesAfter(ranges, 4n)).toEqual([range(6, 9, 2)]);
  });
});

describe("removedRangeAt", () => {
  const ranges = [range(2, 4, 1), range(6, 9, 2)];

  test.each([
    [2n, undefined, undefined],
    [3n, undefined, ranges[0]],
    [4n, 0, ranges[0]],
    [4n, 1, undefined],
    [5n, 0, undefined],
    [7n, 1, ranges[1]],
    [9n, 2, undefined],
    [10n, 0, undefined],
  ])("finds what removed sequence %d of generation %p", (sequence, generation, expected) => {
    expect(removedRangeAt(ranges, { sequence, generation })).toEqual(expected);
  });
});
