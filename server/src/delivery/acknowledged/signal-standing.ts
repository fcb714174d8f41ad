import type { LogEntry } from "../../model/log-entry.js";
import { exactTime, type KnownTime, latestTime, mayBeLost, type RowAt } from "../../state/acknowledged-times.js";
import type { NamedSubscriptions } from "../../state/named-subscriptions.js";
import { isScanned, placeOfScan } from "../../state/scan-place.js";
import {
  acknowledgedRowKey,
  type DeadLetterRecord,
  type DeliveryRecord,
  type LeaseRecord,
  type SubscriptionRecord,
  sequenceKey,
  signalKey,
} from "../../state/subscription-record.js";
import { isOver, type StandingOptions } from "./standing.js";

/** What became of a signal that is a named subscription's. Times are in milliseconds on the wall clock. */
export type SignalStanding =
  /** By when at the latest; undefined where that is not kept. */
  | { readonly is: "acknowledged"; readonly time: KnownTime | undefined }
  /** A consumer has it. */
  | { readonly is: "outstanding"; readonly delivery: DeliveryRecord; readonly lease: LeaseRecord }
  /** It is to be delivered again, from a time on: at once where whoever had it is gone, whatever its lease says. */
  | { readonly is: "waiting"; readonly delivery: DeliveryRecord; readonly availableMs: number }
  | { readonly is: "deadLettered"; readonly letter: DeadLetterRecord }
  /** It was acknowledged, or was a dead letter that had to go: which is not known any more. */
  | { readonly is: "settled" }
  /** Nobody has looked at it yet. */
  | { readonly is: "notYet" };

/**
 * What became of a signal at a subscription, as far as the subscription's state alone says: undefined where it depends on whether the
 * signal is the subscription's at all.
 */
export function knownStanding(
  named: NamedSubscriptions,
  { name }: SubscriptionRecord,
  { sequence, ...options }: StandingOptions & { readonly sequence: bigint },
): SignalStanding | undefined {
  const delivery = named.deliveriesOf(name).get(sequenceKey(sequence));
  if (delivery !== undefined) {
    const { lease } = delivery;
    const isDue = isOver(delivery, options);
    if (lease !== undefined && !isDue) return { is: "outstanding", delivery, lease };
    const availableMs = isDue ? Math.min(delivery.dueMs, options.nowMs) : delivery.dueMs;
    return { is: "waiting", delivery, availableMs };
  }
  const letter = named.deadLetters.get(signalKey(name, String(sequence)));
  if (letter !== undefined) return { is: "deadLettered", letter };
  const time = exactTime(rowsOf(named, name), String(sequence));
  return time && { is: "acknowledged", time };
}

/** What became of a signal at a subscription whose it is, and of which `knownStanding` says nothing. */
export function computedStanding(
  named: NamedSubscriptions,
  subscription: SubscriptionRecord,
  entry: LogEntry,
): SignalStanding {
  const { name, agentId } = subscription;
  const { sequence } = entry;
  const scan = named.scans.get(name);
  if (scan === undefined || !isScanned(placeOfScan(scan), entry)) return { is: "notYet" };
  const required = requiredTime(named, agentId, sequence);
  if (required !== undefined) return { is: "acknowledged", time: required };
  const rowAt = rowsOf(named, name);
  if (mayBeLost(rowAt, String(sequence))) return { is: "settled" };
  // What was scanned, is the subscription's, and is neither unsettled nor a dead letter was acknowledged.
  return { is: "acknowledged", time: latestTime(rowAt, String(sequence)) };
}

/** When an agent acknowledged a signal of which that was required; undefined where it has not, or it is not kept. */
export function requiredTime(named: NamedSubscriptions, agentId: string, sequence: bigint): KnownTime | undefined {
  const found = named.required.get(sequenceKey(sequence))?.acknowledged.find(([each]) => each === agentId);
  return found && { acknowledgedMs: found[1], deliveredMs: found[2] };
}

/** The first sequence that a subscription gets, exclusive. Of one made before that was kept, as far as its start says. */
export function startSequenceOf({ startSequence, start }: SubscriptionRecord): bigint {
  return BigInt(startSequence ?? (start.at === "sequence" ? start.afterSequence : 0));
}

function rowsOf({ acknowledgedRows }: NamedSubscriptions, name: string): RowAt {
  return (slot) => acknowledgedRows.get(acknowledgedRowKey(name, slot));
}
