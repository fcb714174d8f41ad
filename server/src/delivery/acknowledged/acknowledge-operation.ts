import { CoordinationError } from "../../model/coordination-error.js";
import { coordinationNotFound, noteProgress } from "../../registry/agent-registry.js";
import type { Draft } from "../../state/draft.js";
import { removedRangeAt } from "../../state/removed-ranges.js";
import type { DeliveryRecord, SubscriptionRecord } from "../../state/subscription-record.js";
import { ackExpired, notDelivered, subscriptionNotFound } from "./acknowledgement-errors.js";
import { parseDeliveryId } from "./delivery-id.js";
import { bury, changeOfDeliveries, refuse, settle } from "./settle-delivery.js";
import type { SignalCopies } from "./signal-copies.js";

/** What is to become of one delivery. */
export interface AckItem {
  readonly deliveryId: string;
  readonly action: "ack" | "nack" | "extend" | "reject";
  readonly reason: string;
  /** How long it rests, or stays the consumer's; undefined is what the policy says. */
  readonly delayMs: number | undefined;
}

/** What became of it. */
export type AckOutcome =
  | { readonly is: "acknowledged" }
  | { readonly is: "resting"; readonly availableMs: number }
  | { readonly is: "extended"; readonly deadlineMs: number }
  | { readonly is: "buried"; readonly cause: "rejected" | "maxAttempts" }
  | { readonly is: "refused"; readonly error: CoordinationError };

/** What an operation on the deliveries of one subscription is told. */
export interface DeliveryOperation {
  readonly name: string;
  readonly copies: SignalCopies;
  readonly nowMs: number;
}

/**
 * Settles, refuses, extends and rejects deliveries, one after the other; what is refused changes nothing. Throws
 * COORDINATION_NOT_FOUND, SUBSCRIPTION_NOT_FOUND.
 */
export function acknowledge(
  draft: Draft,
  items: readonly AckItem[],
  operation: DeliveryOperation,
): readonly AckOutcome[] {
  const subscription = existingSubscription(draft, operation.name);
  const changed: string[] = [];
  const outcomes = items.map((item) => {
    const found = leasedDelivery(draft, subscription, item, operation.nowMs);
    if (found instanceof CoordinationError) return { is: "refused", error: found } as const;
    const outcome = take(draft, { subscription, record: found, item }, operation);
    if (outcome.is !== "extended") changed.push(found.sequence);
    return outcome;
  });
  if (changed.length === 0) return outcomes;
  // An extension says that somebody is there, which the open stream does too; consumers extend by a clock, whether work moves or not.
  noteProgress(draft, subscription.agentId);
  draft.changeHeader({}, changeOfDeliveries("signalsAcknowledged", subscription, changed));
  return outcomes;
}

/** Throws COORDINATION_NOT_FOUND, SUBSCRIPTION_NOT_FOUND. */
export function existingSubscription(draft: Draft, name: string): SubscriptionRecord {
  if (draft.header === undefined) throw coordinationNotFound(draft.coordinationId);
  const subscription = draft.subscriptions.get(name);
  if (subscription === undefined) throw subscriptionNotFound(draft.coordinationId, name);
  return subscription;
}

/** The delivery as it is leased to whoever acknowledges it, or why it is not. */
function leasedDelivery(
  draft: Draft,
  subscription: SubscriptionRecord,
  { deliveryId }: AckItem,
  nowMs: number,
): DeliveryRecord | CoordinationError {
  const named = parseDeliveryId(subscription, deliveryId);
  if (named === undefined) return notDelivered(deliveryId, subscription.name);
  const record = draft.subscriptions.delivery(subscription.name, named.sequence);
  if (record === undefined) return noDelivery(draft, subscription, { deliveryId, sequence: named.sequence });
  if (record.claim !== named.claim) return ackExpired(deliveryId, "superseded", "was followed by another attempt");
  if (record.lease === undefined) return ackExpired(deliveryId, "released", "was refused, or its consumer has gone");
  if (record.dueMs <= nowMs) {
    return ackExpired(deliveryId, "expired", `expired at ${new Date(record.dueMs).toISOString()}`);
  }
  return record;
}

/** Why there is no delivery any more. */
function noDelivery(
  { header, subscriptions }: Draft,
  { name }: SubscriptionRecord,
  { deliveryId, sequence }: { readonly deliveryId: string; readonly sequence: bigint },
): CoordinationError {
  if (subscriptions.deadLetter(name, String(sequence)) !== undefined) {
    return ackExpired(deliveryId, "dead_lettered", "is of a signal that became a dead letter");
  }
  if (removedRangeAt(header?.removedRanges ?? [], { sequence, generation: undefined }) !== undefined) {
    return ackExpired(deliveryId, "rolled_back", "is of a signal that was rolled back");
  }
  return ackExpired(deliveryId, "settled", "is settled");
}

interface TakenItem {
  readonly subscription: SubscriptionRecord;
  readonly record: DeliveryRecord;
  readonly item: AckItem;
}

function take(draft: Draft, { subscription, record, item }: TakenItem, operation: DeliveryOperation): AckOutcome {
  const { policy } = subscription;
  const { nowMs, copies } = operation;
  const detail = item.reason === "" ? undefined : item.reason;
  switch (item.action) {
    case "ack":
      settle(draft, subscription, record, nowMs);
      return { is: "acknowledged" };
    case "extend": {
      const deadlineMs = nowMs + (item.delayMs ?? policy.ackDeadlineMs);
      draft.subscriptions.putDelivery(subscription.name, { ...record, dueMs: deadlineMs });
      return { is: "extended", deadlineMs };
    }
    case "reject":
      bury(draft, subscription, record, { cause: "rejected", detail, nowMs, copies });
      return { is: "buried", cause: "rejected" };
    case "nack": {
      const { delayMs } = item;
      const availableMs = refuse(draft, subscription, record, { cause: "maxAttempts", detail, nowMs, copies, delayMs });
      return availableMs === undefined ? { is: "buried", cause: "maxAttempts" } : { is: "resting", availableMs };
    }
  }
}
