import { describe, expect, test } from "@jest/globals";
import { MemorySignalStore } from "../../../../server/src/store/memory/memory-signal-store.js";
import { CoordinatorUnderTest } from "../../../support/coordinator-under-test.js";
import { deferred } from "../../../support/deferred.js";
import { eventually } from "../../../support/eventually.js";
import { ManualClock } from "../../../support/manual-clock.js";
import { ObservedStore } from "../../../support/observed-store.js";
import { settle } from "../../../support/settle.js";

const observed = () => new ObservedStore(new MemorySignalStore());

/** The sequences that the store still has, whatever the history is. */
async function storedSequences(subject: CoordinatorUnderTest, store: ObservedStore): Promise<readonly number[]> {
  const { epoch } = await subject.header();
  const range = { coordinationId: "c", epoch, fromSequence: 0n, maxEntries: 10_000, maxBytes: 10_000_000 };
  return (await store.readForward(range)).map(({ sequence }) => Number(sequence));
}

describe("HistoryTrimmer: by count", () => {
  test("removes from the store what has left the history, in steps between the sends", async () => {
    const store = observed();
    await using subject = new CoordinatorUnderTest({ store, retentionSignals: 10 });
    for (let batch = 0; batch < 5; batch++) await subject.fill(200);
    await eventually(async () => {
      const stored = await storedSequences(subject, store);
      expect(stored.length).toBeLessThan(10 + 256);
      expect(stored.at(-1)).toBe(1_000);
    });
    expect((await subject.history()).entries).toHaveLength(10);
    expect(subject.backgroundErrors).toEqual([]);
  });

  test("comes to an end with a coordination that leaves memory as soon as nobody uses it", async () => {
    const store = observed();
    await using subject = new CoordinatorUnderTest({ store, retentionSignals: 10, maxIdleCoordinations: 0 });
    await subject.fill(600);
    await eventually(async () => expect((await storedSequences(subject, store)).length).toBeLessThan(10 + 256));
    await settle();
    const { reads } = store.counts;
    await settle();
    expect(store.counts.reads).toBe(reads);
  });

  test("is over when the coordinator is closed: nothing touches the store any more", async () => {
    const store = observed();
    const reading = deferred();
    await using subject = new CoordinatorUnderTest({ store, retentionSignals: 10 });
    store.hooks.beforeRead = () => reading.promise;
    await subject.fill(600);
    await settle();
    let isClosed = false;
    const closed = subject.coordinator.close().then(() => {
      isClosed = true;
    });
    await settle();
    expect(isClosed).toBe(false);
    reading.resolve();
    await closed;
    const { commits, reads } = store.counts;
    await settle();
    expect(store.counts).toMatchObject({ commits, reads });
  });

  test("says what failed, and tries again with the next send", async () => {
    const store = observed();
    await using subject = new CoordinatorUnderTest({ store, retentionSignals: 10 });
    const failure = new Error("not now");
    store.hooks.beforeRead = () => Promise.reject(failure);
    await subject.fill(600);
    await settle();
    expect(subject.backgroundErrors).toEqual([failure]);
    delete store.hooks.beforeRead;
    await subject.send();
    await eventually(async () => expect((await storedSequences(subject, store)).length).toBeLessThan(300));
  });
});

describe("HistoryTrimmer: by age", () => {
  test("lets signals leave the history when they are too old", async () => {
    const clock = new ManualClock();
    await using subject = new CoordinatorUnderTest({ clock, retentionAgeMs: 400 });
    await subject.fill(3);
    clock.advance(300);
    await subject.fill(2);
    clock.advance(101);
    await eventually(async () => expect(await subject.header()).toMatchObject({ oldestSequence: 4n }));
    clock.advance(1_000);
    await eventually(async () => expect(await subject.header()).toMatchObject({ oldestSequence: 6n }));
    expect((await subject.history()).entries).toEqual([]);
  });

  test("looks at one signal of a coordination in which nothing is too old", async () => {
    const store = observed();
    await using subject = new CoordinatorUnderTest({ store, clock: new ManualClock(), retentionAgeMs: 400 });
    await subject.fill(1_000);
    store.counts.reads = 0;
    store.counts.readEntries = 0;
    await eventually(() => expect(store.counts.reads).toBeGreaterThan(1));
    expect(store.counts.readEntries).toBe(store.counts.reads);
  });
});
