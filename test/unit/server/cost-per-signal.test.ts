// What a signal costs is counted, not timed: what the store is asked for, and who is woken.
import { describe, expect, test } from "@jest/globals";
import { MemorySignalStore } from "../../../server/src/store/memory/memory-signal-store.js";
import { CoordinatorUnderTest } from "../../support/coordinator-under-test.js";
import type { RequestParts } from "../../support/log-entries.js";
import { ManualClock } from "../../support/manual-clock.js";
import { ObservedStore, type StoreCounts } from "../../support/observed-store.js";

const history = 5_000;

/** What a store is asked for while something is done. */
async function costOf(store: ObservedStore, run: () => Promise<unknown>): Promise<StoreCounts> {
  const before = { ...store.counts };
  await run();
  const { counts } = store;
  return Object.fromEntries(
    (Object.keys(counts) as (keyof StoreCounts)[]).map((name) => [name, counts[name] - before[name]]),
  ) as unknown as StoreCounts;
}

/** A store with a coordination of 100 senders, each of whom has been heard of. */
async function busyCoordination() {
  const store = new ObservedStore(new MemorySignalStore());
  const subject = new CoordinatorUnderTest({ store, clock: new ManualClock(), retentionSignals: 1_000_000 });
  const sender = (index: number): RequestParts => ({ senderAgentId: `agent-${String(index % 100).padStart(3, "0")}` });
  await subject.sendEach(Array.from({ length: 100 }, (_, index) => sender(index)));
  const grow = async (): Promise<void> => {
    for (let sent = 0; sent < history; sent += 1_000) {
      await subject.sendEach(Array.from({ length: 1_000 }, (_, index) => sender(index)));
    }
  };
  return { store, subject, sender, grow };
}

describe("the cost of a signal", () => {
  test.each<[string, RequestParts]>([
    ["a message", {}],
    ["one with a request_id", { requestId: "r" }],
    ["one to an agent", { recipientAgentIds: ["agent-042"] }],
    ["a completion", { event: { case: "agentCompleted", value: {} } }],
  ])("does not grow with the history: %s", async (_, parts) => {
    const { store, subject, sender, grow } = await busyCoordination();
    const send = (index: number) => costOf(store, () => subject.send({ ...sender(index), ...parts }));
    const early = await send(1);
    await grow();
    const late = await send(2);
    expect(early).toMatchObject({ commits: 1, committedEntries: 1, reads: 0, readEntries: 0, loads: 0 });
    expect(early.lookups).toBe(parts.requestId === undefined ? 0 : 1);
    // Numbers get longer: sequence, revision and the like.
    expect(late.committedBytes).toBeLessThan(early.committedBytes + 64);
    expect({ ...late, committedBytes: 0 }).toEqual({ ...early, committedBytes: 0 });
    await subject.dispose();
  });

  test("does not grow with the dependencies that are resolved", async () => {
    const { store, subject } = await busyCoordination();
    const resolve = (index: number): RequestParts => ({
      event: { case: "dependencyResolved", value: { dependencyType: "model", dependencyId: `M${10_000 + index}` } },
    });
    const early = await costOf(store, () => subject.send(resolve(1)));
    await subject.sendEach(Array.from({ length: history }, (_, index) => resolve(2 + index)));
    const late = await costOf(store, () => subject.send(resolve(history + 2)));
    expect(late.committedRecords).toBeLessThanOrEqual(early.committedRecords);
    expect(late.committedBytes).toBeLessThan(early.committedBytes + 64);
    await subject.dispose();
  });

  test("is no read of the store for readers near the head, however long the history is", async () => {
    const { store, subject, grow } = await busyCoordination();
    await grow();
    const readers = Array.from({ length: 20 }, () => subject.subscribe());
    for (const reader of readers) await reader.until("caughtUp");
    const cost = await costOf(store, async () => {
      for (let sent = 1; sent <= 3; sent++) {
        await subject.send();
        for (const reader of readers) await reader.untilSignals(sent);
      }
    });
    expect(cost).toMatchObject({ reads: 0, loads: 0, commits: 3, committedEntries: 3 });
    await subject.dispose();
  });
});

describe("the cost of waiting", () => {
  test("a signal to one of 1,000 parked readers wakes that one", async () => {
    await using subject = new CoordinatorUnderTest();
    const agents = Array.from({ length: 1_000 }, (_, index) => `agent-${index}`);
    await subject.sendEach(agents.map((senderAgentId) => ({ senderAgentId })));
    const readers = agents.map((agentId) => subject.subscribe({ agentId }));
    const waiting = await Promise.all(
      readers.map(async (reader) => {
        await reader.until("caughtUp");
        return { next: reader.next() };
      }),
    );
    const parked = () => subject.coordinator.look("c", ({ session }) => session.readers.size);
    expect(await parked()).toBe(1_000);
    await subject.send({ recipientAgentIds: ["agent-500"] });
    expect(await waiting[500]?.next).toMatchObject({ kind: "batch", throughSequence: 1_001n });
    expect(await parked()).toBe(999);
  });
});
