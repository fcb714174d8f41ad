import { describe, expect, test } from "@jest/globals";
import { requestHash, seedFromBytes } from "../../../../server/src/store/request-hash.js";

const seed = seedFromBytes(Buffer.from("0001020304050607", "hex"));

describe("requestHash", () => {
  test("differs by every character, by length and by seed", () => {
    const keys = ["", "a", "b", "ab", "ba", "abc", "abcd", "abcde", "abcde\0", "\0abcde", "sender\0r1", "sender\0r2"];
    const hashes = keys.map((key) => requestHash(seed, key));
    expect(new Set(hashes).size).toBe(keys.length);
    expect(requestHash([1, 2], "a")).not.toBe(requestHash(seed, "a"));
  });

  test("stays the same from one version to the next: it is on disk", () => {
    expect(requestHash(seed, "sender\0r1")).toBe(703_194_663);
    expect(requestHash(seed, "")).toBe(1_477_757_078);
  });

  test("is a number of 32 bits that is never 0, and spreads", () => {
    const buckets = new Array<number>(16).fill(0);
    for (let number = 0; number < 16_000; number++) {
      const hash = requestHash(seed, `sender\0${number}`);
      expect(hash > 0 && hash < 2 ** 32 && Number.isInteger(hash)).toBe(true);
      buckets[hash & 15] = (buckets[hash & 15] ?? 0) + 1;
    }
    for (const bucket of buckets) expect(Math.abs(bucket - 1_000)).toBeLessThan(200);
  });
});
