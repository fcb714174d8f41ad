import { describe, expect, test } from "@jest/globals";
import { decodeCursor } from "../../../../server/src/model/cursor.js";
import { CoordinatorUnderTest } from "../../../support/coordinator-under-test.js";
import { ManualClock } from "../../../support/manual-clock.js";

const otherEpoch = "01890000-0000-7000-8000-00000000ffff";

/** What a reader from a start gets of ten signals of which the last five are kept. */
async function sequencesFrom(start: NonNullable<Parameters<CoordinatorUnderTest["subscribe"]>[0]>["start"]) {
  await using subject = new CoordinatorUnderTest({ retentionSignals: 5 });
  await subject.fill(10);
  const reader = subject.subscribe(start === undefined ? {} : { start });
  await reader.until("caughtUp");
  return reader.sequences;
}

describe("subscription start", () => {
  test("LATEST begins after the head", async () => {
    expect(await sequencesFrom({ at: "latest" })).toEqual([]);
  });

  test("EARLIEST begins at the oldest signal in history", async () => {
    expect(await sequencesFrom({ at: "earliest" })).toEqual([6, 7, 8, 9, 10]);
  });

  test("a sequence begins after it", async () => {
    expect(await sequencesFrom({ at: "sequence", afterSequence: 8n })).toEqual([9, 10]);
    expect(await sequencesFrom({ at: "sequence", afterSequence: 10n })).toEqual([]);
    expect(await sequencesFrom({ at: "sequence", afterSequence: 5n })).toEqual([6, 7, 8, 9, 10]);
  });

  test("a sequence whose next signal has left the history is CURSOR_EXPIRED", async () => {
    await expect(sequencesFrom({ at: "sequence", afterSequence: 4n })).rejects.toMatchObject({
      reason: "CURSOR_EXPIRED",
      message: "signals after sequence 4 have left the history, the oldest is 6",
      metadata: { oldest_sequence: "6", head_sequence: "10", resume_after_sequence: "5" },
    });
    await expect(sequencesFrom({ at: "sequence", afterSequence: 0n })).rejects.toMatchObject({
      reason: "CURSOR_EXPIRED",
    });
  });

  test("a sequence beyond the head is CURSOR_AHEAD", async () => {
    await expect(sequencesFrom({ at: "sequence", afterSequence: 11n })).rejects.toMatchObject({
      reason: "CURSOR_AHEAD",
      message: "sequence 11 is ahead of the head, which is 10",
      metadata: { oldest_sequence: "6", head_sequence: "10", resume_after_sequence: "10" },
    });
  });

  test("a cursor resumes after what it stands for, whatever item it came with", async () => {
    await using subject = new CoordinatorUnderTest();
    await subject.fill(3);
    const reader = subject.subscribe({ start: { at: "sequence", afterSequence: 1n } });
    await reader.until("caughtUp");
    for (const { cursor } of reader.items) {
      const resumed = subject.subscribe({ start: { at: "cursor", cursor: decodeCursor(cursor) } });
      await resumed.until("caughtUp");
      const { sequence } = decodeCursor(cursor);
      expect(resumed.sequences).toEqual([2, 3].filter((each) => each > sequence));
    }
  });

  test("a cursor of another epoch is EPOCH_CHANGED, also when nothing exists", async () => {
    await using subject = new CoordinatorUnderTest();
    const start = { at: "cursor", cursor: { epoch: otherEpoch, generation: 0, sequence: 1n } } as const;
    await expect(subject.subscribe({ start }).next()).rejects.toMatchObject({
      reason: "EPOCH_CHANGED",
      metadata: { epoch: "", head_sequence: "0", oldest_sequence: "1", resume_after_sequence: "0" },
    });
    await subject.fill(3);
    const { epoch } = await subject.header();
    await expect(subject.subscribe({ start }).next()).rejects.toMatchObject({
      reason: "EPOCH_CHANGED",
      metadata: { epoch, head_sequence: "3", oldest_sequence: "1", resume_after_sequence: "0" },
    });
  });

  test("a cursor is EPOCH_CHANGED after the coordination was deleted and has begun again", async () => {
    await using subject = new CoordinatorUnderTest();
    await subject.fill(2);
    const reader = subject.subscribe({ start: { at: "earliest" } });
    await reader.untilSignals(2);
    await subject.coordinator.deleteCoordination("c");
    await subject.fill(5);
    const start = { at: "cursor", cursor: decodeCursor(reader.cursor) } as const;
    await expect(subject.subscribe({ start }).next()).rejects.toMatchObject({ reason: "EPOCH_CHANGED" });
  });

  test("a cursor from before the coordination existed gets everything", async () => {
    await using subject = new CoordinatorUnderTest();
    const early = subject.subscribe();
    await early.until("subscribed");
    const start = { at: "cursor", cursor: decodeCursor(early.cursor) } as const;
    await subject.fill(2);
    const reader = subject.subscribe({ start });
    expect(await reader.untilSignals(2)).toEqual([1, 2]);
  });

  test("a sequence where nothing exists is CURSOR_AHEAD, except the beginning", async () => {
    await using subject = new CoordinatorUnderTest();
    const from = (afterSequence: bigint) => subject.subscribe({ start: { at: "sequence", afterSequence } });
    await expect(from(1n).next()).rejects.toMatchObject({
      reason: "CURSOR_AHEAD",
      metadata: { epoch: "", head_sequence: "0", resume_after_sequence: "0" },
    });
    expect(await from(0n).next()).toMatchObject({ kind: "subscribed", epoch: "" });
  });

  test("a time begins at the first signal accepted then or later, several in one millisecond included", async () => {
    const clock = new ManualClock();
    await using subject = new CoordinatorUnderTest({ clock, retentionSignals: 8 });
    const startMs = clock.nowMs();
    for (let step = 0; step < 5; step++) {
      await subject.fill(2); // 1, 2 at 0 ms; 3, 4 at 10 ms; ... of which 1 and 2 are trimmed
      clock.advance(10);
    }
    const from = async (timeMs: number): Promise<readonly number[]> => {
      const reader = subject.subscribe({ start: { at: "time", timeMs } });
      await reader.until("caughtUp");
      return reader.sequences;
    };
    expect(await from(0)).toEqual([3, 4, 5, 6, 7, 8, 9, 10]);
    expect(await from(startMs + 20)).toEqual([5, 6, 7, 8, 9, 10]);
    expect(await from(startMs + 21)).toEqual([7, 8, 9, 10]);
    expect(await from(startMs + 40)).toEqual([9, 10]);
    expect(await from(startMs + 41)).toEqual([]);
  });

  test("a time to come leaves out what is accepted before it", async () => {
    const clock = new ManualClock();
    await using subject = new CoordinatorUnderTest({ clock });
    await subject.send();
    const reader = subject.subscribe({ start: { at: "time", timeMs: clock.nowMs() + 100 } });
    await reader.until("caughtUp");
    await subject.send();
    clock.advance(100);
    await subject.send();
    expect(await reader.untilSignals(1)).toEqual([3]);
  });
});
