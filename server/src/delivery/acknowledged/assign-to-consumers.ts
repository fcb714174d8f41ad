import type { SubscriptionRecord } from "../../state/subscription-record.js";
import type { Consumer } from "./consumer.js";
import { isExempt, type PendingSignal } from "./signal-picker.js";

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
 * Divides signals among consumers, each an equal stretch in their order, as far as each may have them. Those that are exempt from
 * `max_outstanding` are divided for themselves.
 */
export function assignToConsumers(
  subscription: SubscriptionRecord,
  signals: readonly PendingSignal[],
  ready: readonly ReadyConsumer[],
): readonly AssignedSignal[] {
  const exempt = signals.filter(({ entry }) => isExempt(subscription, entry));
  const ordinary = exempt.length === 0 ? signals : signals.filter(({ entry }) => !isExempt(subscription, entry));
  const unlimited = ready.map(({ consumer }) => ({ consumer, capacity: Number.POSITIVE_INFINITY }));
  return [...divide(exempt, unlimited), ...divide(ordinary, ready)];
}

function* divide(signals: readonly PendingSignal[], ready: readonly ReadyConsumer[]): Iterable<AssignedSignal> {
  let next = 0;
  for (const [index, { consumer, capacity }] of ready.entries()) {
    const even = Math.ceil((signals.length - next) / (ready.length - index));
    // Those behind may have room for less than their equal share.
    const behind = ready.slice(index + 1).reduce((sum, other) => sum + other.capacity, 0);
    const count = Math.min(capacity, Math.max(even, signals.length - next - behind));
    for (const signal of signals.slice(next, next + count)) yield { signal, consumer };
    next += count;
  }
}
