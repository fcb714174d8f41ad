import { describe, expect, test } from "@jest/globals";
import { IdleGapFinder, joinedSpans, totalMs } from "../../../../../server/src/coordination/timeline/idle-gaps.js";
import type { TimeSpan } from "../../../../../server/src/coordination/timeline/timeline.js";

const span = (startMs: number, endMs: number): TimeSpan => ({ startMs, endMs });

function gapsOf(waits: readonly TimeSpan[], startMs: number, heardMs: readonly number[]) {
  const finder = new IdleGapFinder(joinedSpans(waits), startMs, 10);
  for (const timeMs of heardMs) finder.heard(timeMs);
  return { gaps: finder.gaps.map(({ startMs: from, endMs }) => [from, endMs]), idleMs: finder.idleMs };
}

describe("joinedSpans", () => {
  test("joins what touches or overlaps, whatever the order", () => {
    const joined = joinedSpans([span(30, 40), span(0, 10), span(5, 20), span(20, 25), span(6, 7)]);
    expect(joined).toEqual([span(0, 25), span(30, 40)]);
    expect(totalMs(joined)).toBe(35);
  });
});

describe("IdleGapFinder", () => {
  test("finds times of at least the shortest length between what is heard", () => {
    expect(gapsOf([], 100, [105, 115, 124, 200])).toEqual({
      gaps: [
        [105, 115],
        [124, 200],
      ],
      idleMs: 86,
    });
  });

  test("takes waits for no gaps, whether they begin before it, end after it or lie within", () => {
    expect(gapsOf([span(90, 120)], 100, [140])).toEqual({ gaps: [[120, 140]], idleMs: 20 });
    expect(gapsOf([span(120, 180)], 100, [150, 300])).toEqual({
      gaps: [
        [100, 120],
        [180, 300],
      ],
      idleMs: 140,
    });
    expect(gapsOf([span(110, 120), span(130, 140)], 100, [160])).toEqual({
      gaps: [
        [100, 110],
        [120, 130],
        [140, 160],
      ],
      idleMs: 40,
    });
    expect(gapsOf([span(0, 500)], 100, [150, 300])).toEqual({ gaps: [], idleMs: 0 });
  });

  test("hears nothing new of a time before the last one", () => {
    expect(gapsOf([], 100, [150, 120, 155])).toEqual({ gaps: [[100, 150]], idleMs: 50 });
  });

  test("keeps the hundred longest and the sum of all", () => {
    const heard = Array.from({ length: 1_000 }, (_, index) => ((index + 1) * (index + 2)) / 2 + 10 * (index + 1));
    const { gaps, idleMs } = gapsOf([], 0, heard);
    expect(gaps).toHaveLength(100);
    expect(gaps.at(-1)).toEqual([heard.at(-2), heard.at(-1)]);
    expect(gaps[0]?.[0]).toBe(heard.at(-101));
    expect(idleMs).toBe(heard.at(-1));
  });
});
