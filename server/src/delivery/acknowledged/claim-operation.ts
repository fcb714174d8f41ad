import type { LogEntry } from "../../model/log-entry.js";
import type { Draft } from "../../state/draft.js";
import type { DeliveryRecord, LeaseRecord, ScanRecord, SubscriptionRecord } from "../../state/subscription-record.js";
import { deliveryIdOf } from "./delivery-id.js";
import { isControlSignal, type PendingSignal } from "./pick-next.js";

/** Signals to lease, and what is to be known of the log then. */
export interface Claim {
  readonly subscription: SubscriptionRecord;
  /** The scan that the signals were picked by, and how many rollbacks the log had seen. */
  readonly seen: ScanRecord;
  readonly seenGeneration: number;
  readonly throughSequence: bigint;
  readonly signals: readonly (PendingSignal & { readonly lease: LeaseRecord })[];
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
  { subscription, seen, seenGeneration, throughSequence, signals }: Claim,
  { nowMs, isClaimable }: { readonly nowMs: number; readonly isClaimable: (record: DeliveryRecord) => boolean },
): readonly ClaimedSignal[] | undefined {
  const { name, secret, policy } = subscription;
  if (draft.subscriptions.get(name)?.secret !== secret || draft.header?.generation !== seenGeneration) return undefined;
  const scan = draft.subscriptions.scan(name);
  if (scan.throughSequence !== seen.throughSequence) return undefined;
  const deadlineMs = nowMs + policy.ackDeadlineMs;
  let { claims } = scan;
  const claimed: ClaimedSignal[] = [];
  for (const signal of signals) {
    const before = recordOf(draft, name, signal);
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
  draft.subscriptions.putScan(name, { throughSequence: String(throughSequence), claims });
  return claimed;
}

/** The delivery as it is now; undefined where it was settled meanwhile. */
function recordOf(draft: Draft, name: string, signal: PendingSignal): DeliveryRecord | undefined {
  if (signal.is === "due") {
    const record = draft.subscriptions.delivery(name, signal.record.sequence);
    return record?.claim === signal.record.claim ? record : undefined;
  }
  const { entry } = signal;
  const isControl = isControlSignal(entry) ? true : undefined;
  return { sequence: String(entry.sequence), attempt: 0, claim: 0, dueMs: 0, isControl };
}
