import { describe, expect, test } from "@jest/globals";
import { requestsKey, seal } from "../../../../../server/src/store/lmdb/lmdb-records.js";
import { RequestRow, sealRequests } from "../../../../../server/src/store/lmdb/request-row.js";

const key = requestsKey(1, 9n);
const run = { firstSequence: 6n, lastSequence: 9n, hashes: [1, 0, 0xffff_ffff, 4] };

describe("a row of requests", () => {
  test("holds the hash of each request", () => {
    const row = new RequestRow(key, sealRequests(key, run));
    expect([row.firstSequence, row.lastSequence, row.count]).toEqual([6n, 9n, 4]);
    expect(run.hashes.map((_, index) => row.hashAt(index))).toEqual(run.hashes);
  });

  test("keeps its first hashes when the others are taken out", () => {
    const rest = new RequestRow(key, sealRequests(key, run)).through(7n);
    expect(rest).toEqual({ firstSequence: 6n, lastSequence: 7n, hashes: [1, 0] });
  });

  test.each([
    ["holds nothing", 0],
    ["holds a hash by half", 6],
    ["holds more than there can be", 40],
  ])("is not believed when it %s", (_, bytes) => {
    expect(() => new RequestRow(key, seal(key, Buffer.alloc(bytes)))).toThrow("it has no requests");
  });

  test("is not believed in another one's place", () => {
    expect(() => new RequestRow(requestsKey(2, 9n), sealRequests(key, run))).toThrow("its checksum does not fit");
  });
});
