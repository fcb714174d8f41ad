import type { Consumer } from "./consumer.js";
import type { PendingSignal } from "./pick-next.js";

/** A consumer that waits for signals, and how many ordinary ones it may have. */
export interface ReadyConsumer {
  readonly consumer: Consumer;
  readonly capacity: number;
}

/** Which consumer gets a signal. */
export interface AssignedSignal {
  readonly signal: PendingSignal;
  readonly consumer: Consumer;
}

/**
 * Divides signals among consumers, each an equal stretch in their order, as far as each may have them.
 *
 * @param extra how many of the signals are exempt from what a consumer may have
 */
export function assignToConsumers(
  signals: readonly PendingSignal[],
  ready: readonly ReadyConsumer[],
  extra: number,
): readonly AssignedSignal[] {
  const assigned: AssignedSignal[] = [];
  let next = 0;
  for (const [index, { consumer, capacity }] of ready.entries()) {
    const even = Math.ceil((signals.length - next) / (ready.length - index));
    // Those behind may have room for less than their equal share.
    const behind = ready.slice(index + 1).reduce((sum, other) => sum + other.capacity + extra, 0);
    const count = Math.min(capacity + extra, Math.max(even, signals.length - next - behind));
    for (const signal of signals.slice(next, next + count)) assigned.push({ signal, consumer });
    next += count;
  }
  return assigned;
}
