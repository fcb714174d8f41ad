import { describe, expect, test } from "@jest/globals";
import { TailBudget } from "../../../../server/src/state/tail-budget.js";
import { TailCache } from "../../../../server/src/state/tail-cache.js";
import { entryAt } from "../../../support/log-entries.js";

const entriesFrom = (first: number, last: number) =>
  Array.from({ length: last - first + 1 }, (_, index) => entryAt(BigInt(first + index)));
const bytesOf = (...numbers: readonly number[]) =>
  numbers.reduce((sum, sequence) => sum + entryAt(BigInt(sequence)).bytes.length, 0);

function cacheOf(count: number, limits = {}): TailCache {
  const cache = new TailCache({ maxEntries: 1_000, maxBytes: 1_000_000, ...limits }, 0n);
  for (const entry of entriesFrom(1, count)) cache.add([entry]);
  return cache;
}

function sequences(cache: TailCache, after: bigint, maxEntries = 1_000, maxBytes = 1_000_000): readonly number[] {
  return cache.readAfter(after, maxEntries, maxBytes).map(({ sequence }) => Number(sequence));
}

describe("TailCache", () => {
  test("is empty after the head that it starts with", () => {
    const cache = new TailCache({ maxEntries: 10, maxBytes: 1_000 }, 41n);
    expect(cache.floorSequence).toBe(41n);
    cache.add([entryAt(42n)]);
    expect(cache.floorSequence).toBe(41n);
    expect(sequences(cache, 41n)).toEqual([42]);
  });

  test("reads what comes after a sequence, bounded by entries and bytes, always one", () => {
    const cache = cacheOf(5);
    expect(sequences(cache, 0n)).toEqual([1, 2, 3, 4, 5]);
    expect(sequences(cache, 3n)).toEqual([4, 5]);
    expect(sequences(cache, 5n)).toEqual([]);
    expect(sequences(cache, 1n, 2)).toEqual([2, 3]);
    expect(sequences(cache, 0n, 10, bytesOf(1, 2))).toEqual([1, 2]);
    expect(sequences(cache, 0n, 10, 1)).toEqual([1]);
  });

  test("forgets the oldest past so many entries, and says where it begins", () => {
    const cache = cacheOf(100, { maxEntries: 7 });
    expect(cache.floorSequence).toBe(93n);
    expect(sequences(cache, 93n)).toEqual([94, 95, 96, 97, 98, 99, 100]);
    expect(cache.byteLength).toBe(bytesOf(94, 95, 96, 97, 98, 99, 100));
  });

  test("forgets the oldest past so many bytes", () => {
    const cache = cacheOf(20, { maxBytes: bytesOf(18, 19, 20) });
    expect(cache.floorSequence).toBe(17n);
    expect(cache.byteLength).toBe(bytesOf(18, 19, 20));
  });

  test("holds nothing of an entry that is larger than all it may hold", () => {
    const cache = cacheOf(3, { maxBytes: bytesOf(1) - 1 });
    expect(cache.floorSequence).toBe(3n);
    expect(cache.byteLength).toBe(0);
    expect(sequences(cache, 3n)).toEqual([]);
  });

  test("takes many at once, more than it may hold", () => {
    const cache = new TailCache({ maxEntries: 4, maxBytes: 1_000_000 }, 0n);
    cache.add(entriesFrom(1, 50));
    expect(cache.floorSequence).toBe(46n);
    expect(sequences(cache, 46n)).toEqual([47, 48, 49, 50]);
  });

  test("forgets what a rollback removed, and what follows joins where it left off", () => {
    const cache = cacheOf(6);
    cache.removeAfter(3n);
    cache.add([entryAt(7n)]);
    expect(sequences(cache, 0n)).toEqual([1, 2, 3, 7]);
    expect(cache.byteLength).toBe(bytesOf(1, 2, 3, 7));
  });

  test("begins where a rollback ended that went behind it", () => {
    const cache = cacheOf(10, { maxEntries: 2 });
    cache.removeAfter(4n);
    expect(cache.floorSequence).toBe(4n);
    expect(sequences(cache, 4n)).toEqual([]);
    expect(cache.byteLength).toBe(0);
  });

  test("forgets everything when it is cleared", () => {
    const cache = cacheOf(6);
    cache.clear(9n);
    expect(cache.floorSequence).toBe(9n);
    expect(cache.byteLength).toBe(0);
    cache.add([entryAt(10n)]);
    expect(sequences(cache, 9n)).toEqual([10]);
  });

  describe("beyond its own share", () => {
    const own = { maxEntries: 4, maxBytes: 1_000_000 };
    const extended = (budget: TailBudget) => ({ maxEntries: 10, maxBytes: 1_000_000, budget });

    /** As a reader does that is behind by so many entries. */
    const readBehind = (cache: TailCache, head: number, depth: number) =>
      cache.readAfter(BigInt(head - depth), 1, 1_000_000);

    test("holds no more than its share while nobody is behind", () => {
      const cache = new TailCache(own, 0n, extended(new TailBudget(1_000_000)));
      for (const entry of entriesFrom(1, 12)) {
        cache.add([entry]);
        readBehind(cache, Number(entry.sequence), 0);
      }
      expect(cache.floorSequence).toBe(8n);
    });

    test("holds twice as much as readers are behind, and its share, and says what it takes", () => {
      const budget = new TailBudget(1_000_000);
      const cache = new TailCache(own, 0n, extended(budget));
      cache.add(entriesFrom(1, 4));
      readBehind(cache, 4, 2);
      expect(budget.heldBytes).toBe(0);
      cache.add(entriesFrom(5, 12));
      expect(sequences(cache, cache.floorSequence)).toEqual([5, 6, 7, 8, 9, 10, 11, 12]);
      expect(budget.heldBytes).toBeGreaterThan(cache.byteLength);
    });

    test("holds no more than its limit, however far somebody is behind", () => {
      const cache = new TailCache(own, 0n, extended(new TailBudget(1_000_000)));
      cache.add(entriesFrom(1, 4));
      readBehind(cache, 4, 4);
      cache.add(entriesFrom(5, 30));
      expect(cache.floorSequence).toBe(20n);
    });

    test("holds more for whoever had to read the store because it was a little too far behind", () => {
      const cache = new TailCache(own, 0n, extended(new TailBudget(1_000_000)));
      cache.add(entriesFrom(1, 20));
      cache.missed(0n);
      cache.add(entriesFrom(21, 30));
      expect(cache.floorSequence).toBe(26n);
      cache.missed(22n);
      cache.add(entriesFrom(31, 40));
      expect(cache.floorSequence).toBe(30n);
    });

    test("goes back to its share when nobody uses it, when it is cleared and when its end is removed", () => {
      const budget = new TailBudget(1_000_000);
      const caches = [1, 2, 3].map(() => new TailCache(own, 0n, extended(budget)));
      for (const cache of caches) {
        cache.add(entriesFrom(1, 4));
        readBehind(cache, 4, 3);
        cache.add(entriesFrom(5, 9));
      }
      const [released, cleared, cut] = caches as [TailCache, TailCache, TailCache];
      const held = budget.heldBytes;
      released.release();
      expect(budget.heldBytes).toBe((held / 3) * 2);
      expect(sequences(released, released.floorSequence)).toEqual([6, 7, 8, 9]);
      cleared.clear(9n);
      expect(budget.heldBytes).toBe(held / 3);
      cut.removeAfter(3n);
      expect(budget.heldBytes).toBe(0);
      expect(sequences(cut, 0n)).toEqual([1, 2, 3]);
    });

    test("goes back to its share with the next entries when there is no room", () => {
      const budget = new TailBudget(1);
      const greedy = new TailCache(own, 0n, extended(budget));
      greedy.add(entriesFrom(1, 4));
      readBehind(greedy, 4, 3);
      greedy.add(entriesFrom(5, 9));
      expect(greedy.floorSequence).toBe(0n);
      const late = new TailCache(own, 0n, extended(budget));
      late.add(entriesFrom(1, 4));
      readBehind(late, 4, 3);
      late.add(entriesFrom(5, 9));
      expect(late.floorSequence).toBe(5n);
      greedy.add(entriesFrom(10, 10));
      expect(greedy.floorSequence).toBe(6n);
      expect(budget.heldBytes).toBe(0);
    });
  });
});
