import { SignalType } from "@coordination-signals/proto/coordination/v1/signal";
import { describe, expect, test } from "@jest/globals";
import type { ReplayBatch, ReplayRequest } from "../../../../server/src/delivery/replay.js";
import { MemorySignalStore } from "../../../../server/src/store/memory/memory-signal-store.js";
import { CoordinatorUnderTest, filterOf } from "../../../support/coordinator-under-test.js";
import { ManualClock } from "../../../support/manual-clock.js";
import { ObservedStore } from "../../../support/observed-store.js";
import { settle } from "../../../support/settle.js";

const fromTheStart: ReplayRequest = {
  coordinationId: "c",
  afterSequence: 0n,
  untilSequence: 0n,
  filter: filterOf(undefined),
  speed: 0,
};

function replay(subject: CoordinatorUnderTest, parts: Partial<ReplayRequest> = {}, abort = new AbortController()) {
  return subject.coordinator.replay({ ...fromTheStart, ...parts }, abort.signal);
}

async function rangesOf(
  batches: AsyncIterable<ReplayBatch>,
): Promise<readonly (readonly [number[], number, number])[]> {
  const ranges: [number[], number, number][] = [];
  for await (const { entries, afterSequence, throughSequence } of batches) {
    ranges.push([entries.map(({ sequence }) => Number(sequence)), Number(afterSequence), Number(throughSequence)]);
  }
  return ranges;
}

describe("replaySignals", () => {
  test("reads a stretch again and ends after its last signal", async () => {
    await using subject = new CoordinatorUnderTest();
    await subject.fill(6);
    expect(await rangesOf(replay(subject))).toEqual([[[1, 2, 3, 4, 5, 6], 0, 6]]);
    expect(await rangesOf(replay(subject, { afterSequence: 2n, untilSequence: 4n }))).toEqual([[[3, 4], 2, 4]]);
    expect(await rangesOf(replay(subject, { afterSequence: 6n }))).toEqual([]);
  });

  test("leaves out what came after it began", async () => {
    await using subject = new CoordinatorUnderTest();
    await subject.fill(1_500);
    const batches = replay(subject);
    const first = await batches.next();
    await subject.fill(10);
    const rest = await rangesOf(batches);
    expect(first.value?.throughSequence).toBe(1_000n);
    expect(rest.at(-1)?.[2]).toBe(1_500);
  });

  test("passes over what a rollback took out", async () => {
    await using subject = new CoordinatorUnderTest();
    await subject.fill(5);
    await subject.coordinator.rollBack("c", { toSequence: 2n, reason: "", requestedBy: "" });
    await subject.send();
    expect(await rangesOf(replay(subject))).toEqual([[[1, 2, 6], 0, 6]]);
  });

  test("refuses what is ahead, what has left the history, and what does not exist", async () => {
    await using subject = new CoordinatorUnderTest({ retentionSignals: 3 });
    await expect(replay(subject).next()).rejects.toMatchObject({ reason: "COORDINATION_NOT_FOUND" });
    await subject.fill(5);
    await expect(replay(subject).next()).rejects.toMatchObject({ reason: "CURSOR_EXPIRED" });
    for (const parts of [{ afterSequence: 6n }, { afterSequence: 3n, untilSequence: 6n }]) {
      await expect(replay(subject, parts).next()).rejects.toMatchObject({ reason: "CURSOR_AHEAD" });
    }
  });

  test("ends with COORDINATION_NOT_FOUND when the coordination is deleted meanwhile", async () => {
    await using subject = new CoordinatorUnderTest();
    await subject.fill(1_500);
    const batches = replay(subject);
    await batches.next();
    await subject.coordinator.deleteCoordination("c");
    await subject.send();
    await expect(batches.next()).rejects.toMatchObject({ reason: "COORDINATION_NOT_FOUND" });
  });

  test("keeps the gaps in time, divided by the speed", async () => {
    const clock = new ManualClock();
    await using subject = new CoordinatorUnderTest({ clock });
    await subject.fill(2);
    clock.advance(40_000);
    await subject.send();
    const batches = replay(subject, { speed: 1_000 });
    expect((await batches.next()).value?.throughSequence).toBe(2n);
    const second = batches.next();
    let isThere = false;
    void second.then(() => {
      isThere = true;
    });
    await settle();
    expect(isThere).toBe(false);
    clock.advance(40);
    expect((await second).value?.throughSequence).toBe(3n);
  });

  test("ends with SHUTTING_DOWN when the server drains during a gap", async () => {
    const clock = new ManualClock();
    await using subject = new CoordinatorUnderTest({ clock });
    await subject.send();
    clock.advance(60_000);
    await subject.send();
    const batches = replay(subject, { speed: 100 });
    await batches.next();
    const waiting = batches.next();
    await settle();
    subject.coordinator.drain();
    await expect(waiting).rejects.toMatchObject({ reason: "SHUTTING_DOWN" });
  });

  test("ends without a word when the reader goes away during a gap", async () => {
    const clock = new ManualClock();
    await using subject = new CoordinatorUnderTest({ clock });
    await subject.send();
    clock.advance(60_000);
    await subject.send();
    const abort = new AbortController();
    const batches = replay(subject, { speed: 1 }, abort);
    await batches.next();
    const waiting = batches.next();
    await settle();
    abort.abort();
    expect(await waiting).toEqual({ done: true, value: undefined });
  });

  test("lets others run while it looks for what does not match", async () => {
    await using subject = new CoordinatorUnderTest();
    await subject.fill(3_000);
    const others = settle(2).then(() => "others ran");
    const ended = rangesOf(replay(subject, { filter: filterOf({ signalTypes: [SignalType.AGENT_COMPLETED] }) }));
    expect(await Promise.race([ended, others])).toBe("others ran");
    expect(await ended).toEqual([]);
  });

  test("holds nothing for a reader that has gone without taking another batch", async () => {
    const store = new ObservedStore(new MemorySignalStore());
    await using subject = new CoordinatorUnderTest({ store });
    await subject.fill(1_500);
    const abort = new AbortController();
    await replay(subject, {}, abort).next();
    abort.abort();
    await subject.coordinator.deleteCoordination("c");
    // What nobody holds and does not exist has left the memory: the next look asks the store.
    const { loads } = store.counts;
    await expect(subject.header()).rejects.toMatchObject({ reason: "COORDINATION_NOT_FOUND" });
    expect(store.counts.loads).toBe(loads + 1);
  });
});
