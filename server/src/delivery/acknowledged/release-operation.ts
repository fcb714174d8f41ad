import type { Draft } from "../../state/draft.js";
import type { DeliveryRecord } from "../../state/subscription-record.js";
import type { DeliveryOperation } from "./acknowledge-operation.js";
import { bury, changeOfDeliveries, isExhausted, rest } from "./settle-delivery.js";

/** How many deliveries came back, and how many became dead letters. */
export interface Released {
  readonly released: number;
  readonly buried: number;
}

/**
 * Takes deliveries back from consumers who do not have them any more: they are available at once, and those without an attempt
 * left become dead letters. Of a subscription that is gone there are none.
 */
export function release(
  draft: Draft,
  isOver: (record: DeliveryRecord) => boolean,
  { name, copies, nowMs }: DeliveryOperation,
): Released {
  const subscription = draft.subscriptions.get(name);
  if (subscription === undefined) return { released: 0, buried: 0 };
  const over = [...draft.subscriptions.deliveries(name)].filter(
    (record) => record.lease !== undefined && isOver(record),
  );
  const buried: string[] = [];
  for (const record of over) {
    if (isExhausted(subscription, record)) {
      bury(draft, subscription, record, { cause: "maxAttempts", nowMs, copies });
      buried.push(record.sequence);
    } else {
      rest(draft, subscription, record, { dueMs: nowMs });
    }
  }
  if (buried.length > 0) draft.changeHeader({}, changeOfDeliveries("signalsDeadLettered", subscription, buried));
  return { released: over.length - buried.length, buried: buried.length };
}
