import { maxClockSkewMs, maxDeliveryDelayMs, maxOutstandingControls } from "../../model/limits.js";
import { controlLevel } from "../../model/priority-level.js";
import type { DeliveryRecord, LeaseRecord, SubscriptionRecord } from "../../state/subscription-record.js";
import { isExhausted } from "./settle-delivery.js";
import type { Room } from "./signal-picker.js";

/** How the unsettled deliveries of a subscription stand. */
export interface Standing {
  /** Those that can be leased now and have room, by sequence; in order of priority the most urgent first. */
  readonly due: readonly DeliveryRecord[];
  /** Whether some are over and have no attempt left. */
  readonly hasExhausted: boolean;
  /** When the next one is due that is not now; infinite where none is. */
  readonly nextDueMs: number;
  readonly room: Room;
  /** How many ordinary ones each consumer has, by its id. */
  readonly leased: ReadonlyMap<string, number>;
}

/** What tells how deliveries stand. */
export interface StandingOptions {
  readonly nowMs: number;
  /** Whether a lease is of a process that has ended. */
  readonly isOfEndedProcess: (lease: LeaseRecord) => boolean;
}

/**
 * Looks at every unsettled delivery once; `max_outstanding` and the bound of what is redriven bound how many there are. Redriven
 * ones come beside those that may be outstanding, so that more can be due than there is room for beside what is leased or rests.
 */
export function standingOf(
  subscription: SubscriptionRecord,
  deliveries: Iterable<DeliveryRecord>,
  options: StandingOptions,
): Standing {
  const due: DeliveryRecord[] = [];
  const leased = new Map<string, number>();
  let hasExhausted = false;
  let nextDueMs = Number.POSITIVE_INFINITY;
  const room = { ordinary: subscription.policy.maxOutstanding, control: maxOutstandingControls };
  const roomForDue = { ...room };
  for (const record of deliveries) {
    const kind = kindOf(record);
    room[kind] -= 1;
    if (!isOver(record, options)) {
      roomForDue[kind] -= 1;
      nextDueMs = Math.min(nextDueMs, record.dueMs);
      const { consumer } = record.lease ?? {};
      if (consumer !== undefined && kind === "ordinary") leased.set(consumer, (leased.get(consumer) ?? 0) + 1);
    } else if (isSpent(subscription, record)) {
      hasExhausted = true;
    } else {
      due.push(record);
    }
  }
  due.sort((a, b) => (a.level ?? 0) - (b.level ?? 0) || Number(BigInt(a.sequence) - BigInt(b.sequence)));
  const withRoom = due.filter((record) => {
    const kind = kindOf(record);
    roomForDue[kind] -= 1;
    return roomForDue[kind] >= 0;
  });
  return { due: withRoom, hasExhausted, nextDueMs, room, leased };
}

/** Levels are known in order of priority only. */
function kindOf({ level }: DeliveryRecord): keyof Room {
  return level === controlLevel ? "control" : "ordinary";
}

/** Whether nobody has a delivery, or nobody any more, and it need not rest. */
export function isOver({ dueMs, lease }: DeliveryRecord, { nowMs, isOfEndedProcess }: StandingOptions): boolean {
  if (lease !== undefined && isOfEndedProcess(lease)) return true;
  // What is due later than anything can be was stored by a clock that has gone back since.
  return dueMs <= nowMs || dueMs > nowMs + maxDeliveryDelayMs + maxClockSkewMs;
}

/** Whether it was delivered as often as it may be. */
export function isSpent(subscription: SubscriptionRecord, record: DeliveryRecord): boolean {
  return record.lease !== undefined && isExhausted(subscription, record);
}
