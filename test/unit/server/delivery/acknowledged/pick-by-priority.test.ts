import { Priority } from "@coordination-signals/proto/coordination/v1/signal";
import { describe, expect, test } from "@jest/globals";
import { MemorySignalStore } from "../../../../../server/src/store/memory/memory-signal-store.js";
import { CoordinatorUnderTest } from "../../../../support/coordinator-under-test.js";
import { NamedConsumer } from "../../../../support/named-consumer.js";
import { ObservedStore } from "../../../../support/observed-store.js";

const { CONTROL, HIGH, NORMAL, LOW } = Priority;
const order = "priority";
const maxOutstanding = 20;

/** Hands out as many signals, as many at a time as may be outstanding. */
async function workThrough(consumer: NamedConsumer, count: number): Promise<void> {
  for (let done = 0; done < count; done = consumer.handed.length) {
    await consumer.untilHanded(Math.min(count, done + 1));
    await consumer.acknowledge(consumer.handed.slice(done));
  }
}

describe("a pick by priority: cost", () => {
  test("a signal is read a bounded number of times, however much is pending and few may be outstanding", async () => {
    const readsOf = async (count: number): Promise<number> => {
      const store = new ObservedStore(new MemorySignalStore());
      await using subject = new CoordinatorUnderTest({ store, retentionSignals: 100_000 });
      for (let sent = 0; sent < count; sent += 1_000) {
        const levels = Array.from({ length: 250 }, () => [LOW, HIGH, NORMAL, CONTROL]).flat();
        await subject.sendEach(levels.map((priority) => ({ priority })));
      }
      const before = store.counts.readEntries;
      const consumer = await new NamedConsumer(subject.coordinator, { order, policy: { maxOutstanding } }).join();
      await workThrough(consumer, count);
      await consumer.leave();
      return (store.counts.readEntries - before) / count;
    };
    expect(await readsOf(4_000)).toBeLessThan(10);
    expect(await readsOf(16_000)).toBeLessThan(10);
  });

  test("what waits for room is not read again for every urgent signal that passes it", async () => {
    const store = new ObservedStore(new MemorySignalStore());
    await using subject = new CoordinatorUnderTest({ store, retentionSignals: 100_000 });
    for (let sent = 0; sent < 20_000; sent += 1_000) await subject.fill(1_000, { priority: NORMAL });
    const consumer = await new NamedConsumer(subject.coordinator, { order, policy: { maxOutstanding } }).join();
    await consumer.untilHanded(maxOutstanding);
    await subject.send({ priority: CONTROL });
    await consumer.untilHanded(maxOutstanding + 1);
    const before = store.counts.readEntries;
    for (let sent = 1; sent <= 50; sent += 1) {
      await subject.send({ priority: CONTROL });
      await consumer.untilHanded(maxOutstanding + 1 + sent);
    }
    expect(consumer.handed.at(-1)?.entry.sequence).toBe(20_051n);
    // They are read from memory.
    expect(store.counts.readEntries - before).toBe(0);
    await consumer.leave();
  });
});
