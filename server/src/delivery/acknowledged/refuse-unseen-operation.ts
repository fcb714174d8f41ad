import type { Draft } from "../../state/draft.js";
import type { SubscriptionRecord } from "../../state/subscription-record.js";
import type { DeliveryOperation } from "./acknowledge-operation.js";
import type { ClaimedSignal } from "./claim-operation.js";
import { changeOfDeliveries, refuse } from "./settle-delivery.js";

/**
 * Refuses a delivery for a consumer whose transform is too dear for its signal: another consumer may be able to get it. Answers
 * what became of it; undefined where the consumer does not have it any more.
 */
export function refuseUnseen(
  draft: Draft,
  { name, secret }: SubscriptionRecord,
  {
    claimed,
    detail,
    copies,
    nowMs,
  }: Omit<DeliveryOperation, "name"> & {
    readonly claimed: ClaimedSignal;
    readonly detail: string;
  },
): "resting" | "buried" | undefined {
  const subscription = draft.subscriptions.get(name);
  if (subscription?.secret !== secret) return undefined;
  const record = draft.subscriptions.delivery(name, claimed.entry.sequence);
  if (record?.claim !== claimed.claim || record.lease === undefined) return undefined;
  const availableMs = refuse(draft, subscription, record, { cause: "filterBudget", detail, nowMs, copies });
  if (availableMs !== undefined) return "resting";
  draft.changeHeader({}, changeOfDeliveries("signalsDeadLettered", subscription, [record.sequence]));
  return "buried";
}
