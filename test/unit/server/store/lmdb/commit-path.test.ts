import { describe, expect, test } from "@jest/globals";
import { CommitPath } from "../../../../../server/src/store/lmdb/commit-path.js";

/** How many commits in a row are not synced at once, after one that took so long. */
function pauseAfter(path: CommitPath, milliseconds: number): number {
  path.took(milliseconds);
  let paused = 0;
  while (path.next(100) !== "logAtOnce") paused += 1;
  return paused;
}

describe("CommitPath", () => {
  test.each([
    ["has no time to spare", false, ["logAtOnce", "logAtOnce", "tree", "tree", "tree", "logAtOnce"]],
    ["has time to spare", true, ["logAtOnce", "logAtOnce", "logAtOnce", "logAtOnce", "tree", "logAtOnce"]],
  ])("writes commits into the log up to a size, when the main thread %s", (_when, hasSome, expected) => {
    const path = new CommitPath({ hasSome });
    expect([100, 2_048, 2_049, 24_576, 24_577, 100].map((bytes) => path.next(bytes))).toEqual(expected);
  });

  test("writes small commits into the log while the disk is slow, too", () => {
    const path = new CommitPath({ hasSome: true });
    path.took(4);
    expect([path.next(100), path.next(24_576), path.next(24_577)]).toEqual(["log", "log", "tree"]);
  });

  test("syncs none at once for a while after one that took long, for twice as many each time, and up to a limit", () => {
    const path = new CommitPath();
    expect(pauseAfter(path, 0.2)).toBe(0);
    expect(Array.from({ length: 9 }, () => pauseAfter(path, 4))).toEqual([
      64, 128, 256, 512, 1_024, 2_048, 4_096, 4_096, 4_096,
    ]);
  });

  test("begins anew once one was quick", () => {
    const path = new CommitPath();
    expect([pauseAfter(path, 9), pauseAfter(path, 9), pauseAfter(path, 1), pauseAfter(path, 9)]).toEqual([
      64, 128, 0, 64,
    ]);
  });

  test("large commits do not count as a part of the pause", () => {
    const path = new CommitPath();
    path.took(9);
    for (let count = 0; count < 100; count += 1) path.next(1_000_000);
    expect(pauseAfter(path, 0)).toBe(64);
  });
});
