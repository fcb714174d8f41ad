import { maxDeadLetters } from "../../model/limits.js";
import type { LogEntry } from "../../model/log-entry.js";
import type { Draft } from "../../state/draft.js";
import { type ScanPlace, scanOfPlace } from "../../state/scan-place.js";
import type { DeliveryRecord, LeaseRecord, ScanRecord, SubscriptionRecord } from "../../state/subscription-record.js";
import { deliveryIdOf } from "./delivery-id.js";
import { changeOfDeliveries } from "./settle-delivery.js";
import { levelIn, type PendingSignal, type UnansweredSignal } from "./signal-picker.js";

/** Signals to lease, and what is to be known of the log then. */
export interface Claim {
  readonly subscription: SubscriptionRecord;
  /** The scan that the signals were picked by, as it is in the state, and how many rollbacks the log had seen. */
  readonly seen: ScanRecord;
  readonly seenGeneration: number;
  readonly place: ScanPlace;
  readonly signals: readonly (PendingSignal & { readonly lease: LeaseRecord })[];
  /** Those that the filter is too dear for: they become dead letters. */
  readonly unanswered: readonly UnansweredSignal[];
}

/** A signal that is leased. */
export interface ClaimedSignal {
  readonly entry: LogEntry;
  readonly consumer: string;
  readonly deliveryId: string;
  readonly claim: number;
  readonly attempt: number;
  readonly deadlineMs: number;
}

/**
 * Leases signals to consumers. Durable before any of them is handed out, so that an attempt that is made is counted whatever
 * happens then. Answers undefined where the subscription has moved or gone: what was picked may be somebody else's.
 *
 * @param isClaimable whether a delivery as it is now can be leased
 */
export function claim(
  draft: Draft,
  { subscription, seen, seenGeneration, place, signals, unanswered }: Claim,
  { nowMs, isClaimable }: { readonly nowMs: number; readonly isClaimable: (record: DeliveryRecord) => boolean },
): readonly ClaimedSignal[] | undefined {
  const { name, secret, policy } = subscription;
  if (draft.subscriptions.get(name)?.secret !== secret || draft.header?.generation !== seenGeneration) return undefined;
  // A record is replaced with every change, and never changes itself.
  if (draft.subscriptions.scan(name) !== seen) return undefined;
  const deadlineMs = nowMs + policy.ackDeadlineMs;
  let { claims } = seen;
  const claimed: ClaimedSignal[] = [];
  for (const signal of signals) {
    const before = recordOf(draft, subscription, signal);
    if (before === undefined || !isClaimable(before)) continue;
    claims += 1;
    const attempt = before.attempt + 1;
    draft.subscriptions.putDelivery(name, {
      ...before,
      attempt,
      claim: claims,
      dueMs: deadlineMs,
      lease: signal.lease,
      firstTimeMs: before.firstTimeMs ?? nowMs,
      lastTimeMs: nowMs,
    });
    const { entry, lease } = signal;
    const deliveryId = deliveryIdOf(subscription, { sequence: entry.sequence, claim: claims });
    claimed.push({ entry, consumer: lease.consumer, deliveryId, claim: claims, attempt, deadlineMs });
  }
  draft.subscriptions.putScan(name, { ...scanOfPlace(place), claims });
  buryUnanswered(draft, subscription, { unanswered, nowMs });
  return claimed;
}

/** Nobody can say whether such a signal is the subscription's: it is kept for somebody to decide, and holds up nothing. */
function buryUnanswered(
  draft: Draft,
  subscription: SubscriptionRecord,
  { unanswered, nowMs }: { readonly unanswered: readonly UnansweredSignal[]; readonly nowMs: number },
): void {
  if (unanswered.length === 0) return;
  const { name } = subscription;
  for (const { entry, error } of unanswered) {
    const sequence = String(entry.sequence);
    const { message: detail } = error;
    const level = levelIn(subscription, entry);
    draft.subscriptions.bury(
      { subscription: name, sequence, cause: "filterBudget", detail, level, attempts: 0, createTimeMs: nowMs },
      entry.bytes,
      maxDeadLetters,
    );
  }
  const sequences = unanswered.map(({ entry }) => String(entry.sequence));
  draft.changeHeader({}, changeOfDeliveries("signalsDeadLettered", subscription, sequences));
}

/** The delivery as it is now; undefined where it was settled meanwhile. */
function recordOf(draft: Draft, subscription: SubscriptionRecord, signal: PendingSignal): DeliveryRecord | undefined {
  if (signal.is === "due") {
    const record = draft.subscriptions.delivery(subscription.name, signal.record.sequence);
    return record?.claim === signal.record.claim ? record : undefined;
  }
  const { entry } = signal;
  return { sequence: String(entry.sequence), attempt: 0, claim: 0, dueMs: 0, level: levelIn(subscription, entry) };
}
