import { describe, expect, test } from "@jest/globals";
import { MemorySignalStore } from "../../../../../server/src/store/memory/memory-signal-store.js";
import { requestHash } from "../../../../../server/src/store/request-hash.js";
import { entryAt, headerOf, PartWriter } from "../../../../support/log-entries.js";

describe("MemorySignalStore", () => {
  test("tells requests apart whose hashes are the same", async () => {
    const seed = [0, 0] as const;
    const first = entryAt(1n, { requestId: "r14492" });
    const second = entryAt(2n, { requestId: "r60921" });
    const keys = [first.requestKey ?? "", second.requestKey ?? ""];
    expect(new Set(keys.map((key) => requestHash(seed, key))).size).toBe(1);

    const store = new MemorySignalStore(seed);
    const writer = new PartWriter();
    const { epoch } = headerOf();
    const found = async () => (await store.findRequests("c", epoch, keys)).map((entry) => entry?.sequence);
    await store.commit([writer.write([first])]);
    expect(await found()).toEqual([1n, undefined]);
    await store.commit([writer.write([second])]);
    expect(await found()).toEqual([1n, 2n]);
  });

  test("answers with copies: what a sender does with its bytes afterwards changes nothing", async () => {
    const store = new MemorySignalStore();
    const entry = entryAt(1n);
    const bytes = Buffer.from(entry.bytes);
    await store.commit([new PartWriter().write([entry])]);
    entry.bytes.fill(0);
    const range = { coordinationId: "c", epoch: headerOf().epoch, fromSequence: 0n, maxEntries: 1, maxBytes: 1 };
    expect((await store.readForward(range)).map((read) => Buffer.from(read.bytes))).toEqual([bytes]);
  });
});
