import { describe, expect, test } from "@jest/globals";
import type { RollbackResult } from "../../../../server/src/coordination/rollback.js";
import { MemorySignalStore } from "../../../../server/src/store/memory/memory-signal-store.js";
import { CoordinatorUnderTest } from "../../../support/coordinator-under-test.js";
import { eventually } from "../../../support/eventually.js";
import { ObservedStore } from "../../../support/observed-store.js";
import { settle } from "../../../support/settle.js";

function rollBack({ coordinator }: CoordinatorUnderTest, toSequence: bigint): Promise<RollbackResult> {
  return coordinator.rollBack("c", { toSequence, reason: "", requestedBy: "" });
}

describe("A rollback", () => {
  test("comes to an end although signals leave the history faster than it is read", async () => {
    const store = new ObservedStore(new MemorySignalStore());
    await using subject = new CoordinatorUnderTest({ store, retentionSignals: 10_000 });
    for (let filled = 0; filled < 12_000; filled += 1_000) await subject.fill(1_000);
    await eventually(async () => {
      const { oldestSequence, trimmedThroughSequence } = await subject.header();
      expect(oldestSequence - trimmedThroughSequence).toBeLessThan(256n);
    });
    const { headSequence, trimmedThroughSequence } = await subject.header();
    let reads = 0;
    store.hooks.beforeRead = async () => {
      reads += 1;
      // Enough to be removed from the store, more than once while a history of this length is read.
      if (reads % 5 !== 0) return;
      await subject.fill(300);
      await settle();
    };
    const { header, removedSignals } = await rollBack(subject, headSequence);
    delete store.hooks.beforeRead;
    expect(removedSignals).toBeGreaterThanOrEqual(300n);
    expect(header.trimmedThroughSequence).toBe(trimmedThroughSequence);
    // Then what had to wait for it goes.
    await eventually(async () => {
      expect((await subject.header()).trimmedThroughSequence).toBeGreaterThan(trimmedThroughSequence);
    });
    expect(subject.backgroundErrors).toEqual([]);
  });

  test("is made after those that were asked for before it, however many come at once", async () => {
    const store = new ObservedStore(new MemorySignalStore());
    await using subject = new CoordinatorUnderTest({ store });
    await subject.fill(3);
    store.hooks.beforeRead = async () => {
      await subject.send();
      await settle();
    };
    const results = await Promise.all(Array.from({ length: 8 }, () => rollBack(subject, 1n)));
    delete store.hooks.beforeRead;
    expect(results.map(({ header }) => header.generation)).toEqual([1, 2, 3, 4, 5, 6, 7, 8]);
    expect((await subject.history()).entries.map(({ sequence }) => sequence)).toEqual([1n]);
  });

  test("counts what it takes out itself, and changes nothing where nothing is left to take out", async () => {
    await using subject = new CoordinatorUnderTest();
    await subject.fill(5);
    expect((await rollBack(subject, 3n)).removedSignals).toBe(2n);
    const before = await subject.header();
    expect(await rollBack(subject, 3n)).toMatchObject({ removedSignals: 0n, header: { generation: 1 } });
    expect(await subject.header()).toEqual(before);
    await subject.send();
    expect(await rollBack(subject, 1n)).toMatchObject({ removedSignals: 3n, header: { generation: 2 } });
  });

  test("that the history cannot remember is refused, one that takes out what others left is not", async () => {
    await using subject = new CoordinatorUnderTest();
    for (let head = 0n; head < 200n; head += 2n) {
      await subject.fill(2);
      await rollBack(subject, head + 1n);
    }
    await subject.fill(2);
    await expect(rollBack(subject, 201n)).rejects.toMatchObject({ reason: "TOO_MANY_ROLLBACKS" });
    expect((await rollBack(subject, 197n)).removedSignals).toBe(3n);
  });
});
