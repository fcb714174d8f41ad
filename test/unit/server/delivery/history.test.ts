import { SignalType } from "@coordination-signals/proto/coordination/v1/signal";
import { describe, expect, test } from "@jest/globals";
import type { HistoryPage } from "../../../../server/src/delivery/history.js";
import { maxPageScanSignals, maxResponseBytes } from "../../../../server/src/model/limits.js";
import { MemorySignalStore } from "../../../../server/src/store/memory/memory-signal-store.js";
import { CoordinatorUnderTest, type HistoryParts } from "../../../support/coordinator-under-test.js";
import { ObservedStore } from "../../../support/observed-store.js";
import { settle } from "../../../support/settle.js";

const completed = { event: { case: "agentCompleted", value: {} } } as const;
const onlyCompleted = { signalTypes: [SignalType.AGENT_COMPLETED] };

const sequencesOf = (page: HistoryPage): readonly number[] => page.entries.map(({ sequence }) => Number(sequence));

/** Every page, from the first to the last. */
async function pagesOf(subject: CoordinatorUnderTest, parts: HistoryParts): Promise<readonly (readonly number[])[]> {
  const pages: (readonly number[])[] = [];
  let fromSequence: bigint | undefined;
  do {
    const page = await subject.history({ ...parts, fromSequence });
    pages.push(sequencesOf(page));
    fromSequence = page.nextFromSequence;
  } while (fromSequence !== undefined);
  return pages;
}

describe("readHistoryPage", () => {
  test("pages from the oldest and from the newest, each signal once", async () => {
    await using subject = new CoordinatorUnderTest();
    await subject.fill(7);
    expect(await pagesOf(subject, { order: "oldestFirst", maxSignals: 3 })).toEqual([[1, 2, 3], [4, 5, 6], [7]]);
    expect(await pagesOf(subject, { order: "newestFirst", maxSignals: 3 })).toEqual([[7, 6, 5], [4, 3, 2], [1]]);
  });

  test("says that there is no next page when the last is full", async () => {
    await using subject = new CoordinatorUnderTest();
    await subject.fill(6);
    expect(await pagesOf(subject, { order: "oldestFirst", maxSignals: 3 })).toHaveLength(2);
    expect(await pagesOf(subject, { order: "newestFirst", maxSignals: 3 })).toHaveLength(2);
  });

  test("is one empty page where nothing was sent", async () => {
    await using subject = new CoordinatorUnderTest();
    const registration = { agentId: "a", capabilities: [], provides: [], metadata: {}, leaseMs: 1_000 };
    await subject.coordinator.agents.register("c", registration);
    expect(await pagesOf(subject, { order: "oldestFirst" })).toEqual([[]]);
    expect(await pagesOf(subject, { order: "newestFirst" })).toEqual([[]]);
  });

  test("refuses a coordination that does not exist", async () => {
    await using subject = new CoordinatorUnderTest();
    await expect(subject.history()).rejects.toMatchObject({ reason: "COORDINATION_NOT_FOUND" });
  });

  test("filters, and says that there is no next page when nothing more matches", async () => {
    await using subject = new CoordinatorUnderTest();
    await subject.fill(3);
    await subject.send(completed);
    await subject.fill(3);
    await subject.send(completed);
    await subject.fill(3);
    const parts = { filter: onlyCompleted, maxSignals: 2 };
    expect(await pagesOf(subject, { ...parts, order: "oldestFirst" })).toEqual([[4, 8]]);
    expect(await pagesOf(subject, { ...parts, order: "newestFirst" })).toEqual([[8, 4]]);
    expect(await pagesOf(subject, { ...parts, maxSignals: 1 })).toEqual([[4], [8]]);
  });

  test("goes on after what came while it was paged, oldest first", async () => {
    await using subject = new CoordinatorUnderTest();
    await subject.fill(2);
    const first = await subject.history({ maxSignals: 1 });
    await subject.fill(2);
    const rest = await subject.history({ fromSequence: first.nextFromSequence });
    expect([...sequencesOf(first), ...sequencesOf(rest)]).toEqual([1, 2, 3, 4]);
  });

  test("shows nothing that has left the history, removed from the store or not", async () => {
    await using subject = new CoordinatorUnderTest({ retentionSignals: 4 });
    await subject.fill(10);
    expect(await pagesOf(subject, { order: "oldestFirst" })).toEqual([[7, 8, 9, 10]]);
    expect(await pagesOf(subject, { order: "newestFirst" })).toEqual([[10, 9, 8, 7]]);
  });

  test("does not end early when the next page has left the history but not yet the store", async () => {
    await using subject = new CoordinatorUnderTest({ retentionSignals: 6 });
    await subject.fill(6);
    const first = await subject.history({ order: "oldestFirst", maxSignals: 2 });
    await subject.fill(4);
    const rest = await subject.history({ order: "oldestFirst", fromSequence: first.nextFromSequence });
    expect(sequencesOf(rest)).toEqual([5, 6, 7, 8, 9, 10]);
  });

  test("cuts a page at 1 MiB and loses nothing by it", async () => {
    await using subject = new CoordinatorUnderTest();
    const message = "x".repeat(200_000);
    await subject.fill(12, { event: { case: "interAgentMessage", value: { message } } });
    const page = await subject.history();
    const bytes = page.entries.reduce((sum, entry) => sum + entry.bytes.length, 0);
    expect(bytes).toBeLessThanOrEqual(maxResponseBytes);
    expect(page.entries).toHaveLength(5);
    expect((await pagesOf(subject, { order: "oldestFirst" })).flat()).toEqual([1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12]);
    expect((await pagesOf(subject, { order: "newestFirst" })).flat()).toEqual([12, 11, 10, 9, 8, 7, 6, 5, 4, 3, 2, 1]);
  });

  test.each(["oldestFirst", "newestFirst"] as const)(
    "reads no more than a page and what follows it, %s",
    async (order) => {
      const store = new ObservedStore(new MemorySignalStore());
      await using subject = new CoordinatorUnderTest({ store });
      await subject.fill(1_500);
      store.counts.reads = 0;
      store.counts.readEntries = 0;
      expect((await subject.history({ order, maxSignals: 1_000 })).entries).toHaveLength(1_000);
      expect((await subject.history({ order, maxSignals: 10 })).entries).toHaveLength(10);
      expect(store.counts).toMatchObject({ reads: 2, readEntries: 1_012 });
    },
  );

  test("lets others run while it looks for what does not match", async () => {
    await using subject = new CoordinatorUnderTest();
    await subject.fill(3_000);
    const page = subject.history({ filter: onlyCompleted });
    const others = settle(2).then(() => "others ran");
    expect(await Promise.race([page, others])).toBe("others ran");
    expect(sequencesOf(await page)).toEqual([]);
  });

  test.each(["oldestFirst", "newestFirst"] as const)("scans at most 10,000 signals for a page, %s", async (order) => {
    const store = new ObservedStore(new MemorySignalStore());
    await using subject = new CoordinatorUnderTest({ store, retentionSignals: 30_000 });
    if (order === "newestFirst") await subject.send(completed);
    for (let batch = 0; batch < 11; batch++) await subject.fill(1_000);
    if (order === "oldestFirst") await subject.send(completed);
    store.counts.readEntries = 0;
    const first = await subject.history({ order, filter: onlyCompleted });
    expect(store.counts.readEntries).toBeLessThanOrEqual(maxPageScanSignals);
    expect(first).toMatchObject({ entries: [], nextFromSequence: expect.anything() });
    const pages = await pagesOf(subject, { order, filter: onlyCompleted });
    expect(pages.flat()).toEqual([order === "oldestFirst" ? 11_001 : 1]);
  });
});
