import { Priority } from "@coordination-signals/proto/coordination/v1/signal";
import { describe, expect, test } from "@jest/globals";
import { decodeCursor } from "../../../../server/src/model/cursor.js";
import { levelShareSignals, maxBatchSignals } from "../../../../server/src/model/limits.js";
import { levelOf } from "../../../../server/src/model/priority-level.js";
import { MemorySignalStore } from "../../../../server/src/store/memory/memory-signal-store.js";
import { CoordinatorUnderTest, type SubscriptionParts } from "../../../support/coordinator-under-test.js";
import type { RequestParts } from "../../../support/log-entries.js";
import { ObservedStore } from "../../../support/observed-store.js";
import type { SignalReader } from "../../../support/signal-reader.js";

const { CONTROL, HIGH, NORMAL, LOW } = Priority;
const fromEarliest = { order: "priority", start: { at: "earliest" } } as const;

const ofLevels = (...priorities: readonly Priority[]): readonly RequestParts[] =>
  priorities.map((priority) => ({ priority }));

const levelsOf = (reader: SignalReader) => reader.signals.map(({ priority }) => priority);

/** How many signals of each level the reader's batches brought, the most urgent first. */
const batchesOf = (reader: SignalReader): readonly (readonly number[])[] =>
  reader.items.flatMap((item) => {
    if (item.kind !== "batch") return [];
    const counts = [0, 0, 0, 0];
    for (const { priority } of item.entries) counts[levelOf(priority)] = (counts[levelOf(priority)] ?? 0) + 1;
    return [counts];
  });

describe("order of priority: what is pending", () => {
  test("comes by level, and in the order of the log inside a level", async () => {
    await using subject = new CoordinatorUnderTest();
    await subject.sendEach(ofLevels(LOW, NORMAL, CONTROL, HIGH, LOW, HIGH, CONTROL, NORMAL));
    const reader = subject.subscribe(fromEarliest);
    expect(await reader.untilSignals(8)).toEqual([3, 7, 4, 6, 2, 8, 1, 5]);
    expect(batchesOf(reader)).toHaveLength(1);
  });

  test("that has no priority is NORMAL", async () => {
    await using subject = new CoordinatorUnderTest();
    await subject.sendEach(ofLevels(LOW, Priority.UNSPECIFIED, HIGH));
    const reader = subject.subscribe(fromEarliest);
    expect(await reader.untilSignals(3)).toEqual([3, 2, 1]);
  });

  test("is overtaken by what comes meanwhile and is more urgent", async () => {
    await using subject = new CoordinatorUnderTest();
    await subject.fill(3_000);
    const reader = subject.subscribe(fromEarliest);
    await reader.until("batch");
    await subject.sendEach(ofLevels(LOW, HIGH, CONTROL));
    await reader.until("batch");
    expect(levelsOf(reader).slice(maxBatchSignals, maxBatchSignals + 3)).toEqual([CONTROL, HIGH, NORMAL]);
  });

  test("is overtaken by a CONTROL signal behind 10,000 others, more than are kept in memory", async () => {
    await using subject = new CoordinatorUnderTest({ retentionSignals: 100_000 });
    for (let sent = 0; sent < 25_000; sent += 1_000) await subject.fill(1_000, { priority: LOW });
    await subject.send({ priority: CONTROL });
    const reader = subject.subscribe(fromEarliest);
    const { entries } = await reader.until("batch");
    expect(entries[0]?.sequence).toBe(25_001n);
  });

  test("of another type, sender or recipient is passed over on every level", async () => {
    await using subject = new CoordinatorUnderTest({ recipientValidation: "off" });
    await subject.sendEach([
      { priority: LOW, recipientAgentIds: ["other"] },
      { priority: LOW, recipientAgentIds: ["me"] },
      { priority: HIGH, senderAgentId: "me" },
      { priority: CONTROL, senderAgentId: "noisy" },
      { priority: CONTROL },
    ]);
    const reader = subject.subscribe({ ...fromEarliest, agentId: "me", filter: { senderAgentIds: ["sender"] } });
    const caughtUp = await reader.until("caughtUp");
    expect(reader.sequences).toEqual([5, 2]);
    expect(caughtUp.throughSequence).toBe(5n);
  });
});

describe("order of priority: live", () => {
  test("a signal of any level comes at once when nothing else is pending", async () => {
    await using subject = new CoordinatorUnderTest();
    await subject.send();
    const reader = subject.subscribe({ order: "priority" });
    await reader.until("caughtUp");
    for (const [index, priority] of [LOW, CONTROL, NORMAL, HIGH].entries()) {
      await subject.send({ priority });
      const batch = await reader.until("batch");
      expect(batch).toMatchObject({ afterSequence: BigInt(index + 1), throughSequence: BigInt(index + 2) });
    }
    expect(reader.sequences).toEqual([2, 3, 4, 5]);
  });

  test("what is sent before the coordination exists for the reader is read from its beginning", async () => {
    await using subject = new CoordinatorUnderTest();
    const reader = subject.subscribe({ order: "priority" });
    await reader.until("subscribed");
    await subject.sendEach(ofLevels(NORMAL, CONTROL));
    expect(await reader.untilSignals(2)).toEqual([2, 1]);
  });

  test("ends well after everything when the coordination is closed", async () => {
    await using subject = new CoordinatorUnderTest();
    await subject.sendEach(ofLevels(LOW, CONTROL));
    const reader = subject.subscribe(fromEarliest);
    await subject.coordinator.closeCoordination("c", "");
    await reader.untilEnd();
    expect(reader.sequences).toEqual([2, 1]);
  });

  test("a server that stops says where every level stands", async () => {
    await using subject = new CoordinatorUnderTest();
    await subject.sendEach([...ofLevels(CONTROL, LOW), ...ofLevels(...Array(1_500).fill(NORMAL))]);
    const reader = subject.subscribe(fromEarliest);
    await reader.until("batch");
    subject.coordinator.drain();
    await expect(reader.untilEnd()).rejects.toMatchObject({ reason: "SHUTTING_DOWN" });
    expect(reader.items.at(-1)).toMatchObject({ kind: "checkpoint" });
    const { levelSequences } = decodeCursor(reader.cursor);
    expect(levelSequences).toEqual([1_502n, 1_502n, 901n, 1_502n]);
  });
});

describe("order of priority: nothing starves", () => {
  test("a full batch has something of every level in which something is pending", async () => {
    await using subject = new CoordinatorUnderTest();
    for (const priority of [LOW, NORMAL, HIGH, CONTROL]) await subject.fill(1_500, { priority });
    const reader = subject.subscribe(fromEarliest);
    await reader.untilSignals(6_000);
    expect(batchesOf(reader)).toEqual([
      [700, 100, 100, 100],
      [700, 100, 100, 100],
      [100, 700, 100, 100],
      [0, 600, 300, 100],
      [0, 0, 900, 100],
      [0, 0, 0, 1_000],
    ]);
  });

  test("the first pending signal of a level waits for fewer than 1,000 others while urgent ones keep coming", async () => {
    await using subject = new CoordinatorUnderTest();
    await subject.send({ priority: LOW });
    const reader = subject.subscribe(fromEarliest);
    for (let burst = 0; burst < 4; burst++) await subject.fill(1_000, { priority: HIGH });
    await reader.untilSignals(2_000);
    expect(reader.sequences.indexOf(1)).toBeLessThan(maxBatchSignals);
  });

  test("every 100 low signals that are pending wait for one batch of others", async () => {
    await using subject = new CoordinatorUnderTest();
    await subject.fill(450, { priority: LOW });
    await subject.fill(5_000, { priority: NORMAL });
    const reader = subject.subscribe(fromEarliest);
    await reader.untilSignals(5_450);
    for (const [index, sequence] of reader.sequences.entries()) {
      if (sequence <= 450) expect(index).toBeLessThan(maxBatchSignals * Math.ceil(sequence / levelShareSignals));
    }
  });

  test("large signals leave room for each other: batches stay within 1 MiB", async () => {
    await using subject = new CoordinatorUnderTest();
    const large: RequestParts = {
      event: { case: "interAgentMessage", value: { message: "x".repeat(250_000) } },
    };
    for (const priority of [LOW, NORMAL, HIGH, CONTROL]) await subject.fill(3, { priority, ...large });
    const reader = subject.subscribe(fromEarliest);
    await reader.untilSignals(12);
    expect(batchesOf(reader).slice(0, 3)).toEqual([
      [1, 1, 1, 1],
      [1, 1, 1, 1],
      [1, 1, 1, 1],
    ]);
  });
});

describe("order of priority: cost", () => {
  test("a signal is read at most once for each level, however much is pending", async () => {
    const store = new ObservedStore(new MemorySignalStore());
    await using subject = new CoordinatorUnderTest({ store, retentionSignals: 100_000 });
    const count = 24_000;
    for (let sent = 0; sent < count; sent += 1_000) {
      await subject.sendEach(ofLevels(...Array.from({ length: 250 }, () => [LOW, HIGH, NORMAL, CONTROL]).flat()));
    }
    const before = store.counts.readEntries;
    const reader = subject.subscribe(fromEarliest);
    await reader.untilSignals(count);
    expect(store.counts.readEntries - before).toBeLessThan(count * 4 * 1.5);
  });

  test("a backlog of one level is read twice: to look for what is urgent, and to hand it out", async () => {
    const store = new ObservedStore(new MemorySignalStore());
    await using subject = new CoordinatorUnderTest({ store, retentionSignals: 100_000 });
    const count = 20_000;
    for (let sent = 0; sent < count; sent += 1_000) await subject.fill(1_000);
    const before = store.counts.readEntries;
    const reader = subject.subscribe(fromEarliest);
    await reader.untilSignals(count);
    expect(store.counts.readEntries - before).toBeLessThan(count * 2.1);
  });

  test("a reader that leaves after every batch looks for what is urgent once", async () => {
    const store = new ObservedStore(new MemorySignalStore());
    await using subject = new CoordinatorUnderTest({ store, retentionSignals: 100_000 });
    const count = 20_000;
    for (let sent = 0; sent < count; sent += 1_000) await subject.fill(1_000);
    const before = store.counts.readEntries;
    let start: SubscriptionParts["start"] = { at: "earliest" };
    for (let seen = 0; seen < count; ) {
      const reader = subject.subscribe({ order: "priority", start });
      seen += (await reader.until("batch")).entries.length;
      await reader.leave();
      start = { at: "cursor", cursor: decodeCursor(reader.cursor) };
    }
    expect(store.counts.readEntries - before).toBeLessThan(count * 2.1);
  });
});

describe("order of priority: places that are gone", () => {
  test("a cursor of another order is INVALID_CURSOR", async () => {
    await using subject = new CoordinatorUnderTest();
    await subject.fill(3);
    for (const [order, other] of [
      ["sequence", "priority"],
      ["priority", "sequence"],
    ] as const) {
      const reader = subject.subscribe({ order, start: { at: "earliest" } });
      await reader.until("caughtUp");
      const start = { at: "cursor", cursor: decodeCursor(reader.cursor) } as const;
      await expect(subject.subscribe({ order: other, start }).next()).rejects.toMatchObject({
        reason: "INVALID_CURSOR",
        message: `the cursor is of order ${order.toUpperCase()}, the subscription's order is ${other.toUpperCase()}`,
      });
    }
  });

  test("a level that fell behind the history is CURSOR_EXPIRED, and the error's cursor keeps the others' places", async () => {
    await using subject = new CoordinatorUnderTest({ retentionSignals: 2_000 });
    await subject.fill(1_500, { priority: NORMAL });
    await subject.fill(400, { priority: LOW });
    const reader = subject.subscribe(fromEarliest);
    await reader.until("batch");
    await subject.fill(1_500, { priority: HIGH });
    const { oldestSequence } = await subject.header();
    const failure = await reader.untilEnd().catch((error: unknown) => error);
    expect(failure).toMatchObject({
      reason: "CURSOR_EXPIRED",
      message: `signals of priority NORMAL after sequence 900 have left the history, the oldest is ${oldestSequence}`,
      metadata: { oldest_sequence: `${oldestSequence}`, resume_after_sequence: `${oldestSequence - 1n}` },
    });
    const { metadata } = failure as { readonly metadata: Readonly<Record<string, string>> };
    const cursor = decodeCursor(metadata["resume_cursor"] ?? "");
    const resumed = subject.subscribe({ order: "priority", start: { at: "cursor", cursor } });
    await resumed.until("caughtUp");
    const lows = resumed.signals.filter(({ priority }) => priority === LOW);
    expect(lows.map(({ sequence }) => Number(sequence))[0]).toBe(1_601);
    const normals = resumed.signals.filter(({ priority }) => priority === NORMAL);
    expect(normals[0]?.sequence).toBe(oldestSequence);
  });

  test("a rollback ends a reader whose urgent levels had passed it; the error's cursor misses and repeats nothing", async () => {
    await using subject = new CoordinatorUnderTest();
    await subject.fill(2_000, { priority: NORMAL });
    await subject.sendEach(ofLevels(CONTROL, HIGH, LOW));
    const reader = subject.subscribe(fromEarliest);
    await reader.until("batch");
    await subject.coordinator.rollBack("c", { toSequence: 2_001n, reason: "", requestedBy: "" });
    const failure = await reader.untilEnd().catch((error: unknown) => error);
    expect(failure).toMatchObject({
      reason: "ROLLED_BACK",
      message: "sequence 2003 was rolled back: resume after 898",
      metadata: { resume_after_sequence: "898" },
    });
    const { metadata } = failure as { readonly metadata: Readonly<Record<string, string>> };
    const cursor = decodeCursor(metadata["resume_cursor"] ?? "");
    const resumed = subject.subscribe({ order: "priority", start: { at: "cursor", cursor } });
    await resumed.until("caughtUp");
    expect(resumed.sequences[0]).toBe(899);
    expect(resumed.sequences).toHaveLength(2_000 - 898);
  });
});
