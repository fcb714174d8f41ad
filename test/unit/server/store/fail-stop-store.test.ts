import { describe, expect, test } from "@jest/globals";
import { CoordinationError } from "../../../../server/src/model/coordination-error.js";
import { FailStopStore } from "../../../../server/src/store/fail-stop-store.js";
import { MemorySignalStore } from "../../../../server/src/store/memory/memory-signal-store.js";
import { entryAt, headerOf, PartWriter } from "../../../support/log-entries.js";
import { ObservedStore } from "../../../support/observed-store.js";

const { epoch } = headerOf();
const range = { coordinationId: "c", epoch, fromSequence: 0n, maxEntries: 10, maxBytes: 1_000 };
const corrupt = new CoordinationError("STORE_CORRUPT", "row 00 of the store is damaged");

function subject(options: { readonly failureIsFatal: boolean }) {
  const inner = new ObservedStore(new MemorySignalStore(), options);
  const fatals: unknown[] = [];
  return { inner, fatals, store: new FailStopStore(inner, (error) => fatals.push(error)), writer: new PartWriter() };
}

/** Every way to use a store. */
function usesOf(store: FailStopStore, writer: PartWriter): readonly (() => Promise<unknown>)[] {
  return [
    () => store.commit([writer.write([entryAt(1n)])]),
    () => store.load("c"),
    () => store.readForward(range),
    () => store.readBackward({ ...range, fromSequence: 9n }),
    () => store.readJournal({ coordinationId: "c", epoch, kind: "audit", limit: 1 }),
    () => store.findRequests("c", epoch, []),
    () => store.list("", 10),
  ];
}

describe("FailStopStore", () => {
  test("passes on what the store answers", async () => {
    const { store, writer } = subject({ failureIsFatal: true });
    expect(await store.commit([writer.write([entryAt(1n)])])).toEqual(["committed"]);
    expect(await store.readForward(range)).toHaveLength(1);
    expect(store.count()).toBe(1);
    expect(store).toMatchObject({ url: "memory:", isDurable: false, failureIsFatal: true, shared: undefined });
  });

  test("answers nothing any more after a failure that is fatal", async () => {
    const { store, inner, fatals, writer } = subject({ failureIsFatal: true });
    const damage = new Error("fdatasync failed");
    inner.hooks.beforeCommit = () => Promise.reject(damage);
    await expect(store.commit([writer.write([entryAt(1n)])])).rejects.toMatchObject({
      reason: "STORE_UNAVAILABLE",
      cause: damage,
    });
    delete inner.hooks.beforeCommit;
    for (const use of usesOf(store, writer)) await expect(use()).rejects.toMatchObject({ reason: "STORE_UNAVAILABLE" });
    expect(inner.counts).toMatchObject({ commits: 0, loads: 0, reads: 0 });
    expect(fatals).toEqual([damage]);
  });

  test("answers nothing any more after its reader has found damage, and tells of it once", async () => {
    const { store, fatals, writer } = subject({ failureIsFatal: false });
    store.fail(corrupt);
    store.fail(new Error("another"));
    for (const use of usesOf(store, writer)) await expect(use()).rejects.toBe(corrupt);
    expect(fatals).toEqual([corrupt]);
  });

  test("stops on damage that a read finds, whatever the store says of its failures", async () => {
    const { store, inner, fatals, writer } = subject({ failureIsFatal: false });
    inner.hooks.beforeRead = () => Promise.reject(corrupt);
    await expect(store.readForward(range)).rejects.toBe(corrupt);
    expect(fatals).toEqual([corrupt]);
    for (const use of usesOf(store, writer)) await expect(use()).rejects.toBe(corrupt);
  });

  test("goes on after a failure that is not fatal", async () => {
    const { store, inner, fatals } = subject({ failureIsFatal: false });
    const damage = new Error("connection reset");
    inner.hooks.beforeRead = () => Promise.reject(damage);
    await expect(store.readForward(range)).rejects.toBe(damage);
    delete inner.hooks.beforeRead;
    expect(await store.readForward(range)).toEqual([]);
    expect(fatals).toEqual([]);
  });

  test("says once that it has failed, although several uses fail at the same time", async () => {
    const { store, inner, fatals } = subject({ failureIsFatal: true });
    inner.hooks.beforeRead = () => Promise.reject(corrupt);
    const reads = [store.readForward(range), store.readForward(range), store.readForward(range)];
    for (const read of reads) await expect(read).rejects.toBe(corrupt);
    expect(fatals).toEqual([corrupt]);
  });

  test("can still be closed after it has failed", async () => {
    const { store, inner } = subject({ failureIsFatal: true });
    inner.hooks.beforeRead = () => Promise.reject(corrupt);
    await expect(store.readForward(range)).rejects.toBe(corrupt);
    await store.close();
  });
});
