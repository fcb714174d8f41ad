import { describe, expect, test } from "@jest/globals";
import { LogReader } from "../../../../server/src/state/log-reader.js";
import { MemorySignalStore } from "../../../../server/src/store/memory/memory-signal-store.js";
import type { CoordinationHeader } from "../../../../server/src/store/signal-store.js";
import { entryAt, headerOf, PartWriter } from "../../../support/log-entries.js";
import { ObservedStore } from "../../../support/observed-store.js";

/** A log with these sequences, of which none is missing unless the header says otherwise. */
async function logOf(sequences: readonly number[], header: Partial<CoordinationHeader> = {}) {
  const store = new ObservedStore(new MemorySignalStore());
  const writer = new PartWriter();
  await store.commit([
    writer.write(
      sequences.map((sequence) => entryAt(BigInt(sequence))),
      header,
    ),
  ]);
  const damages: unknown[] = [];
  const reader = new LogReader(store, (error) => damages.push(error));
  const seen = writer.header("c") ?? headerOf();
  return {
    store,
    writer,
    damages,
    seen,
    forward: async (from: number, whenTrimmed?: "skip" | "expire", looking = seen) => {
      const entries = await reader.forward(looking, { fromSequence: BigInt(from) }, whenTrimmed);
      return entries.map(({ sequence }) => Number(sequence));
    },
    backward: async (from: number, looking = seen) => {
      const entries = await reader.backward(looking, { fromSequence: BigInt(from) });
      return entries.map(({ sequence }) => Number(sequence));
    },
  };
}

const corrupt = (sequence: number) => ({
  reason: "STORE_CORRUPT",
  message: `signal ${sequence} of coordination "c" is missing from the store`,
  metadata: { coordination_id: "c", sequence: String(sequence) },
});

const removed = (after: number, through: number) => ({
  afterSequence: BigInt(after),
  throughSequence: BigInt(through),
  generation: 1,
});

describe("LogReader", () => {
  test("reads what is there, in both directions", async () => {
    const log = await logOf([1, 2, 3, 4]);
    expect(await log.forward(1)).toEqual([2, 3, 4]);
    expect(await log.forward(4)).toEqual([]);
    expect(await log.backward(4)).toEqual([3, 2, 1]);
    expect(await log.backward(99)).toEqual([4, 3, 2, 1]);
    expect(await log.backward(1)).toEqual([]);
    expect(log.damages).toEqual([]);
  });

  test("leaves out what is durable but not yet visible", async () => {
    const log = await logOf([1, 2, 3, 4]);
    const before = { ...log.seen, headSequence: 2n };
    expect(await log.forward(0, "skip", before)).toEqual([1, 2]);
    expect(await log.backward(5, before)).toEqual([2, 1]);
  });

  test.each([
    ["one in the middle", [1, 3], 2],
    ["several", [1, 5], 2],
    ["all", [], 1],
  ])("finds that the %s is missing", async (_, sequences, missing) => {
    const log = await logOf(sequences, { headSequence: BigInt(sequences.at(-1) ?? 3) });
    await expect(log.forward(0)).rejects.toMatchObject(corrupt(missing));
    await expect(log.backward(99)).rejects.toMatchObject(corrupt(missing));
    expect(log.damages).toMatchObject([corrupt(missing), corrupt(missing)]);
  });

  test("finds that the first is missing", async () => {
    const log = await logOf([2, 3], { headSequence: 3n });
    await expect(log.forward(0)).rejects.toMatchObject(corrupt(1));
    expect(await log.backward(99)).toEqual([3, 2]);
    await expect(log.backward(2)).rejects.toMatchObject(corrupt(1));
  });

  test("finds that the last is missing", async () => {
    const log = await logOf([1, 2], { headSequence: 3n });
    await expect(log.backward(99)).rejects.toMatchObject(corrupt(3));
    expect(await log.forward(0)).toEqual([1, 2]);
    await expect(log.forward(2)).rejects.toMatchObject(corrupt(3));
  });

  test("misses nothing that a rollback took out", async () => {
    const log = await logOf([1, 2, 6, 9], {
      headSequence: 10n,
      generation: 3,
      removedRanges: [removed(2, 5), removed(6, 8), removed(9, 10)],
    });
    expect(await log.forward(0)).toEqual([1, 2, 6, 9]);
    expect(await log.forward(9)).toEqual([]);
    expect(await log.forward(4)).toEqual([6, 9]);
    expect(await log.backward(99)).toEqual([9, 6, 2, 1]);
    expect(log.damages).toEqual([]);
  });

  test("misses nothing that was trimmed, rolled back or removed since the header was looked at", async () => {
    const changes: readonly Partial<CoordinationHeader>[] = [
      { oldestSequence: 4n, trimmedThroughSequence: 3n },
      { generation: 1, removedRanges: [removed(0, 3)] },
      { epoch: "01890000-0000-7000-8000-00000000ffff" },
    ];
    for (const change of changes) {
      const log = await logOf([1, 2, 3, 4]);
      // What is left in the store is what the change leaves; the header is from before it.
      await log.store.commit([log.writer.remove("c")]);
      await log.store.commit([log.writer.write([entryAt(4n)], { ...log.seen, ...change })]);
      const read = log.forward(0, "skip");
      expect(await read).toEqual("epoch" in change ? [] : [4]);
      expect(log.damages).toEqual([]);
    }
  });

  test("says CURSOR_EXPIRED of what was trimmed where a reader asks for it", async () => {
    const log = await logOf([1, 2, 3, 4]);
    await log.store.commit([log.writer.write([], { oldestSequence: 4n, trimmedThroughSequence: 3n })]);
    await expect(log.forward(0, "expire")).rejects.toMatchObject({
      reason: "CURSOR_EXPIRED",
      metadata: {
        epoch: log.seen.epoch,
        head_sequence: "4",
        oldest_sequence: "4",
        resume_after_sequence: "3",
      },
    });
  });

  test("finds what is missing behind what was trimmed", async () => {
    const log = await logOf([1, 2, 3, 4, 6], { headSequence: 6n });
    await log.store.commit([
      log.writer.write([], { headSequence: 6n, oldestSequence: 3n, trimmedThroughSequence: 2n }),
    ]);
    await expect(log.forward(0, "skip")).rejects.toMatchObject(corrupt(5));
  });
});
