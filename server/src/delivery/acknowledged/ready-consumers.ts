import type { ReadyConsumer } from "./assign-to-consumers.js";
import type { Consumer } from "./consumer.js";

/**
 * The consumers that wait for signals, in their order, with how many ordinary ones each may have: an equal share of `max_outstanding`.
 * Of those on other servers it knows the ones that have something: what may be taken here leaves as much to each of them.
 */
export function readyConsumers(
  consumers: ReadonlySet<Consumer>,
  leased: ReadonlyMap<string, number>,
  maxOutstanding: number,
): readonly ReadyConsumer[] {
  const known = new Set([...leased.keys(), ...Array.from(consumers, ({ id }) => id)]);
  const share = Math.ceil(maxOutstanding / Math.max(1, known.size));
  const ready: ReadyConsumer[] = [];
  for (const consumer of consumers) {
    const capacity = Math.max(0, share - (leased.get(consumer.id) ?? 0));
    if (consumer.isReady) ready.push({ consumer, capacity });
  }
  return ready;
}
