import { SignalType } from "@coordination-signals/proto/coordination/v1/signal";
import { describe, expect, test } from "@jest/globals";
import { systemClock } from "../../../../server/src/model/clock.js";
import { decodeCursor } from "../../../../server/src/model/cursor.js";
import { tailCacheSignals } from "../../../../server/src/model/limits.js";
import { MemorySignalStore } from "../../../../server/src/store/memory/memory-signal-store.js";
import { CoordinatorUnderTest } from "../../../support/coordinator-under-test.js";
import { deferred } from "../../../support/deferred.js";
import { ManualClock } from "../../../support/manual-clock.js";
import { ObservedStore } from "../../../support/observed-store.js";
import { settle } from "../../../support/settle.js";

const notFound = { reason: "COORDINATION_NOT_FOUND", metadata: { coordination_id: "c" } };

describe("Tailer: what a reader is told", () => {
  test("says at once that it stands, with epoch, head and a cursor at its start", async () => {
    await using subject = new CoordinatorUnderTest();
    await subject.fill(3);
    const { epoch } = await subject.header();
    const subscribed = await subject.subscribe().until("subscribed");
    expect(subscribed).toMatchObject({ epoch, headSequence: 3n });
    expect(decodeCursor(subscribed.cursor)).toEqual({ epoch, generation: 0, sequence: 3n });
  });

  test("reads history, says once that it has caught up, and goes on live", async () => {
    await using subject = new CoordinatorUnderTest();
    await subject.fill(3);
    const reader = subject.subscribe({ start: { at: "earliest" } });
    expect(await reader.until("caughtUp")).toMatchObject({ throughSequence: 3n });
    await subject.send();
    await subject.send();
    expect(await reader.untilSignals(5)).toEqual([1, 2, 3, 4, 5]);
    await subject.coordinator.closeCoordination("c", "");
    await reader.untilEnd();
    expect(reader.items.filter(({ kind }) => kind === "caughtUp")).toHaveLength(1);
  });

  test("delivers at once what came while its reader looked at caughtUp", async () => {
    await using subject = new CoordinatorUnderTest();
    await subject.send();
    const reader = subject.subscribe();
    await reader.until("caughtUp");
    await subject.send();
    expect(await reader.untilSignals(1)).toEqual([2]);
  });

  test("puts everything that waits into one batch, at most 1,000 signals", async () => {
    await using subject = new CoordinatorUnderTest();
    await subject.fill(1_500);
    const reader = subject.subscribe({ start: { at: "earliest" } });
    await reader.untilSignals(1_500);
    const sizes = reader.items.flatMap((item) => (item.kind === "batch" ? [item.entries.length] : []));
    expect(sizes).toEqual([1_000, 500]);
  });

  test("cuts batches at 1 MiB", async () => {
    await using subject = new CoordinatorUnderTest();
    const message = "x".repeat(60_000);
    await subject.fill(40, { event: { case: "interAgentMessage", value: { message } } });
    const reader = subject.subscribe({ start: { at: "earliest" } });
    await reader.untilSignals(40);
    for (const item of reader.items) {
      if (item.kind !== "batch") continue;
      expect(item.entries.reduce((bytes, entry) => bytes + entry.bytes.length, 0)).toBeLessThanOrEqual(1024 * 1024);
    }
  });

  test("tells the range of what was filtered out before the reader has caught up", async () => {
    await using subject = new CoordinatorUnderTest();
    await subject.fill(4);
    const filter = { signalTypes: [SignalType.AGENT_COMPLETED] };
    const reader = subject.subscribe({ start: { at: "earliest" }, filter });
    await reader.until("caughtUp");
    expect(reader.items.map(({ kind }) => kind)).toEqual(["subscribed", "checkpoint", "caughtUp"]);
    expect(reader.items[1]).toMatchObject({ afterSequence: 0n, throughSequence: 4n });
  });

  test("reports its position when the checkpoint interval has passed without a signal for it", async () => {
    await using subject = new CoordinatorUnderTest({ clock: systemClock });
    await subject.send();
    const reader = subject.subscribe({
      agentId: "reader",
      filter: { signalTypes: [SignalType.AGENT_COMPLETED] },
      checkpointIntervalMs: 5,
    });
    await reader.until("caughtUp");
    await subject.send();
    expect(await reader.until("checkpoint")).toMatchObject({ afterSequence: 1n, throughSequence: 2n });
    expect(await reader.until("checkpoint")).toMatchObject({ afterSequence: 2n, throughSequence: 2n });
  });

  test("reads from the store what has left the tail cache, and joins it with what is live", async () => {
    await using subject = new CoordinatorUnderTest();
    const count = tailCacheSignals + 500;
    await subject.fill(count);
    const reader = subject.subscribe({ start: { at: "earliest" } });
    await reader.untilSignals(count);
    await subject.send();
    await reader.untilSignals(count + 1);
    expect(reader.sequences).toEqual(Array.from({ length: count + 1 }, (_, index) => index + 1));
  });
});

describe("Tailer: whose signals a reader gets", () => {
  async function sendToEverybody(subject: CoordinatorUnderTest): Promise<void> {
    await subject.send({ senderAgentId: "a" }); // 1: broadcast of a
    await subject.send({ senderAgentId: "b" }); // 2: broadcast of b
    await subject.send({ senderAgentId: "a", recipientAgentIds: ["b"] }); // 3: a to b
    await subject.send({ senderAgentId: "b", recipientAgentIds: ["a"] }); // 4: b to a
    await subject.send({ senderAgentId: "a", recipientAgentIds: ["a"] }); // 5: a to itself
    await subject.send({ senderAgentId: "c1", recipientAgentIds: ["a", "b"] }); // 6: to both
    await subject.coordinator.closeCoordination("c", "");
  }

  test.each([
    ["an observer everything", { agentId: "" }, [1, 2, 3, 4, 5, 6]],
    ["an agent broadcasts and what names it, not its own", { agentId: "a" }, [2, 4, 5, 6]],
    ["an agent its own too where it asks for them", { agentId: "a", includeOwn: true }, [1, 2, 3, 4, 5, 6]],
    ["another agent nothing that is addressed to others", { agentId: "b" }, [1, 3, 6]],
    ["a stranger broadcasts only", { agentId: "nobody" }, [1, 2]],
  ])("gives %s", async (_, parts, expected) => {
    await using subject = new CoordinatorUnderTest();
    const live = subject.subscribe({ ...parts, start: { at: "earliest" } });
    await live.until("subscribed");
    const sent = sendToEverybody(subject);
    await live.untilEnd();
    await sent;
    const late = subject.subscribe({ ...parts, start: { at: "earliest" } });
    await late.untilEnd();
    expect(live.sequences).toEqual(expected);
    expect(late.sequences).toEqual(expected);
  });

  test("gives several subscriptions of one agent the same signals, at their own pace", async () => {
    await using subject = new CoordinatorUnderTest();
    const [first, second] = [subject.subscribe({ agentId: "a" }), subject.subscribe({ agentId: "a" })];
    await first.until("subscribed");
    await second.until("subscribed");
    await subject.fill(3);
    expect(await first.untilSignals(3)).toEqual([1, 2, 3]);
    await first.leave();
    await subject.fill(2);
    expect(await second.untilSignals(5)).toEqual([1, 2, 3, 4, 5]);
  });
});

describe("Tailer: before the coordination exists", () => {
  test("waits for it, and says again that it stands when it begins", async () => {
    await using subject = new CoordinatorUnderTest();
    const reader = subject.subscribe();
    expect(await reader.next()).toMatchObject({ kind: "subscribed", epoch: "", headSequence: 0n });
    await expect(subject.header()).rejects.toMatchObject(notFound);
    await subject.fill(2);
    const { epoch } = await subject.header();
    expect(await reader.next()).toMatchObject({ kind: "subscribed", epoch });
    expect(await reader.untilSignals(2)).toEqual([1, 2]);
  });

  test("gives a reader from the latest everything from the first signal on", async () => {
    await using subject = new CoordinatorUnderTest();
    const reader = subject.subscribe({ start: { at: "latest" } });
    await reader.until("subscribed");
    await subject.fill(3);
    expect(await reader.untilSignals(3)).toEqual([1, 2, 3]);
  });

  test("reports the beginning while there is nothing", async () => {
    await using subject = new CoordinatorUnderTest();
    const reader = subject.subscribe({ checkpointIntervalMs: 5 });
    expect(await reader.until("checkpoint")).toMatchObject({ afterSequence: 0n, throughSequence: 0n });
  });

  test("creates nothing", async () => {
    const store = new ObservedStore(new MemorySignalStore());
    await using subject = new CoordinatorUnderTest({ store });
    await subject.subscribe({ agentId: "a" }).until("subscribed");
    expect(store.count()).toBe(0);
    expect(store.counts.commits).toBe(0);
  });
});

describe("Tailer: how a subscription ends", () => {
  test("drains to the head and ends well when the coordination is closed", async () => {
    await using subject = new CoordinatorUnderTest();
    const reader = subject.subscribe();
    await reader.until("subscribed");
    await subject.fill(5);
    await subject.coordinator.closeCoordination("c", "done");
    await reader.untilEnd();
    expect(reader.sequences).toEqual([1, 2, 3, 4, 5]);
  });

  test("ends a parked reader when the coordination is closed", async () => {
    await using subject = new CoordinatorUnderTest();
    await subject.send();
    const reader = subject.subscribe({ agentId: "a", filter: { signalTypes: [SignalType.AGENT_COMPLETED] } });
    await reader.until("caughtUp");
    const end = reader.untilEnd();
    await settle();
    await subject.coordinator.closeCoordination("c", "");
    await end;
    expect(reader.sequences).toEqual([]);
  });

  test("reads a closed coordination from the start, and ends", async () => {
    await using subject = new CoordinatorUnderTest();
    await subject.fill(2);
    await subject.coordinator.closeCoordination("c", "");
    const reader = subject.subscribe({ start: { at: "earliest" } });
    await reader.untilEnd();
    expect(reader.sequences).toEqual([1, 2]);
  });

  test("ends with COORDINATION_NOT_FOUND when the coordination is deleted", async () => {
    await using subject = new CoordinatorUnderTest();
    await subject.send();
    const reader = subject.subscribe();
    await reader.until("caughtUp");
    const end = reader.untilEnd();
    await settle();
    await subject.coordinator.deleteCoordination("c");
    await expect(end).rejects.toMatchObject(notFound);
  });

  test("does not carry on in the coordination that begins again under the same name", async () => {
    await using subject = new CoordinatorUnderTest();
    await subject.send();
    const reader = subject.subscribe();
    await reader.until("caughtUp");
    await subject.coordinator.deleteCoordination("c");
    await subject.fill(3);
    await expect(reader.untilEnd()).rejects.toMatchObject(notFound);
    expect(reader.sequences).toEqual([]);
  });

  test("lets one that never saw the coordination begin wait on when it is deleted", async () => {
    await using subject = new CoordinatorUnderTest();
    const reader = subject.subscribe();
    await reader.until("subscribed");
    await subject.send();
    await subject.coordinator.deleteCoordination("c");
    await subject.fill(2);
    expect(await reader.untilSignals(2)).toEqual([1, 2]);
  });

  test("says where it is and ends with SHUTTING_DOWN when the server drains", async () => {
    await using subject = new CoordinatorUnderTest();
    await subject.fill(2);
    const filter = { signalTypes: [SignalType.AGENT_COMPLETED] };
    const [parked, waiting] = [subject.subscribe({ filter }), subject.subscribe({ coordinationId: "never" })];
    await parked.until("caughtUp");
    await waiting.until("subscribed");
    await subject.send();
    const shuttingDown = { reason: "SHUTTING_DOWN", retryDelayMs: expect.any(Number) };
    const ends = [parked, waiting].map((reader) => expect(reader.untilEnd()).rejects.toMatchObject(shuttingDown));
    subject.coordinator.drain();
    await Promise.all(ends);
    expect(parked.items.at(-1)).toMatchObject({ kind: "checkpoint" });
    expect(waiting.items.at(-1)).toMatchObject({ kind: "checkpoint", throughSequence: 0n });
    const resumed = subject.subscribe({ start: { at: "cursor", cursor: decodeCursor(parked.cursor) } });
    expect(await resumed.next()).toMatchObject({ kind: "subscribed" });
  });

  test("frees everything when the reader goes away without taking another item", async () => {
    await using subject = new CoordinatorUnderTest();
    const abort = new AbortController();
    const items = subject.coordinator.subscribe(
      {
        coordinationId: "c",
        agentId: "a",
        filter: { typeMask: -1, matchesAll: true, beforeTimeMs: undefined, matches: () => true },
        start: { at: "latest" },
        includeOwn: false,
        checkpointIntervalMs: 40_000,
      },
      abort.signal,
    );
    await items.next();
    expect(subject.coordinator.openSubscriptions).toBe(1);
    abort.abort();
    expect(subject.coordinator.openSubscriptions).toBe(0);
    expect(await items.next()).toEqual({ done: true, value: undefined });
  });

  test("frees everything when the reader goes away while the subscription is being opened", async () => {
    const loading = deferred();
    const store = new ObservedStore(new MemorySignalStore());
    store.hooks.beforeLoad = () => loading.promise;
    await using subject = new CoordinatorUnderTest({ store });
    const reader = subject.subscribe({ agentId: "a" });
    const first = reader.next();
    await settle();
    const left = reader.leave();
    loading.resolve();
    await first;
    await left;
    expect(subject.coordinator.openSubscriptions).toBe(0);
  });

  test("refuses one subscription more than the server takes, and takes it when one has gone", async () => {
    await using subject = new CoordinatorUnderTest({ maxSubscriptions: 2 });
    const first = subject.subscribe();
    await first.until("subscribed");
    await subject.subscribe().until("subscribed");
    await expect(subject.subscribe().next()).rejects.toMatchObject({
      reason: "TOO_MANY_SUBSCRIPTIONS",
      metadata: { limit: "2" },
    });
    await first.leave();
    expect(await subject.subscribe().next()).toMatchObject({ kind: "subscribed" });
  });

  test("counts no subscription that could not be opened because the store failed", async () => {
    const store = new ObservedStore(new MemorySignalStore());
    store.hooks.beforeLoad = () => Promise.reject(new Error("disk on fire"));
    await using subject = new CoordinatorUnderTest({ store });
    await expect(subject.subscribe().next()).rejects.toThrow("disk on fire");
    expect(subject.coordinator.openSubscriptions).toBe(0);
  });
});

describe("Tailer: a filter with before_time", () => {
  const beforeTime = (ms: number) => ({
    beforeTime: { seconds: BigInt(Math.floor(ms / 1000)), nanos: (ms % 1000) * 1e6 },
  });

  test("ends once the time has passed and everything was scanned", async () => {
    const clock = new ManualClock();
    await using subject = new CoordinatorUnderTest({ clock });
    const endMs = clock.nowMs() + 1_000;
    await subject.send();
    clock.advance(2_000);
    await subject.send();
    const reader = subject.subscribe({ start: { at: "earliest" }, filter: beforeTime(endMs) });
    await reader.untilEnd();
    expect(reader.sequences).toEqual([1]);
    expect(decodeCursor(reader.cursor).sequence).toBe(2n);
  });

  test("ends while nothing is sent", async () => {
    await using subject = new CoordinatorUnderTest();
    await subject.send();
    const reader = subject.subscribe({ start: { at: "earliest" }, filter: beforeTime(Date.now() + 30) });
    await reader.untilEnd();
    expect(reader.sequences).toEqual([1]);
  });

  test("ends in a coordination that never begins", async () => {
    await using subject = new CoordinatorUnderTest();
    const reader = subject.subscribe({ filter: beforeTime(Date.now() + 30) });
    await reader.untilEnd();
    expect(reader.items.map(({ kind }) => kind)).toEqual(["subscribed"]);
  });

  test("does not end before the first signal of a coordination, accepted in time, has become visible", async () => {
    const clock = new ManualClock();
    const committing = deferred();
    const store = new ObservedStore(new MemorySignalStore());
    await using subject = new CoordinatorUnderTest({ clock, store });
    store.hooks.beforeCommit = () => committing.promise;
    const sent = subject.send();
    await settle();
    const reader = subject.subscribe({ start: { at: "earliest" }, filter: beforeTime(clock.nowMs() + 1_000) });
    clock.advance(1_000);
    const end = reader.untilEnd();
    await settle();
    committing.resolve();
    await sent;
    await end;
    expect(reader.sequences).toEqual([1]);
  });

  test("does not end before a signal that was accepted in time has become visible", async () => {
    const clock = new ManualClock();
    const committing = deferred();
    const store = new ObservedStore(new MemorySignalStore());
    await using subject = new CoordinatorUnderTest({ clock, store });
    await subject.send();
    const reader = subject.subscribe({ start: { at: "earliest" }, filter: beforeTime(clock.nowMs() + 1_000) });
    await reader.until("caughtUp");
    store.hooks.beforeCommit = () => committing.promise;
    const sent = subject.send();
    await settle();
    clock.advance(1_000);
    const end = reader.untilEnd();
    await settle();
    committing.resolve();
    await sent;
    await end;
    expect(reader.sequences).toEqual([1, 2]);
  });
});

describe("Tailer: falling behind the retention", () => {
  test("ends with CURSOR_EXPIRED, and says what is left", async () => {
    await using subject = new CoordinatorUnderTest({ retentionSignals: 3 });
    await subject.fill(2);
    const reader = subject.subscribe({ start: { at: "earliest" } });
    await reader.untilSignals(2);
    await subject.fill(5);
    const { epoch } = await subject.header();
    await expect(reader.untilEnd()).rejects.toMatchObject({
      reason: "CURSOR_EXPIRED",
      metadata: { oldest_sequence: "5", head_sequence: "7", epoch, resume_after_sequence: "4" },
    });
    expect(reader.sequences).toEqual([1, 2]);
  });

  test("keeps up as long as the next signal is in history", async () => {
    await using subject = new CoordinatorUnderTest({ retentionSignals: 3 });
    await subject.fill(2);
    const reader = subject.subscribe({ start: { at: "earliest" } });
    await reader.untilSignals(2);
    await subject.fill(3);
    expect(await reader.untilSignals(5)).toEqual([1, 2, 3, 4, 5]);
  });

  test("starts a new reader from the earliest that there is when it comes to reading", async () => {
    await using subject = new CoordinatorUnderTest({ retentionSignals: 3 });
    await subject.fill(3);
    const reader = subject.subscribe({ start: { at: "earliest" } });
    await reader.until("subscribed");
    await subject.fill(2);
    expect(await reader.untilSignals(3)).toEqual([3, 4, 5]);
  });
});

describe("Tailer: a start that moves while the log is read", () => {
  test("begins with what is oldest then, and hands out nothing older", async () => {
    const store = new ObservedStore(new MemorySignalStore());
    await using subject = new CoordinatorUnderTest({ store, retentionSignals: 2_000 });
    await subject.fill(2_000);
    const reader = subject.subscribe({ start: { at: "earliest" } });
    await reader.until("subscribed");
    const read = deferred();
    store.hooks.afterRead = () => {
      delete store.hooks.afterRead;
      return read.promise;
    };
    const first = reader.until("batch");
    await settle();
    await subject.fill(5);
    read.resolve();
    expect((await first).afterSequence).toBe(5n);
    expect(reader.sequences[0]).toBe(6);
  });
});

describe("Tailer: a rollback", () => {
  test("ends readers that had passed it with the sequence to resume from, and lets the others go on", async () => {
    await using subject = new CoordinatorUnderTest();
    await subject.fill(3);
    const behind = subject.subscribe({ start: { at: "earliest" } });
    await behind.untilSignals(3);
    await subject.fill(2);
    const ahead = subject.subscribe({ start: { at: "earliest" } });
    await ahead.until("caughtUp");
    await subject.coordinator.rollBack("c", { toSequence: 3n, reason: "", requestedBy: "" });
    await expect(ahead.untilEnd()).rejects.toMatchObject({
      reason: "ROLLED_BACK",
      metadata: { resume_after_sequence: "3" },
    });
    await subject.send();
    expect(await behind.untilSignals(4)).toEqual([1, 2, 3, 6]);
  });
});
