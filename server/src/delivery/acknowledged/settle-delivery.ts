import { maxDeadLetters } from "../../model/limits.js";
import type { Draft } from "../../state/draft.js";
import type { StateChangeFields } from "../../state/state-change.js";
import type {
  DeadLetterCause,
  DeliveryRecord,
  SubscriptionPolicy,
  SubscriptionRecord,
} from "../../state/subscription-record.js";
import type { SignalCopies } from "./signal-copies.js";

/*
 * The ways in which a delivery ends or comes back. Each is a change of a draft; whoever makes it says so in the audit.
 */

/** A delivery was acknowledged: it is done, and its time is kept. */
export function settle(draft: Draft, subscription: SubscriptionRecord, record: DeliveryRecord, nowMs: number): void {
  draft.subscriptions.removeDelivery(subscription.name, record);
  draft.subscriptions.noteAcknowledged(subscription, record, nowMs);
}

/** Whether no attempt is left. */
export function isExhausted({ policy }: SubscriptionRecord, { attempt }: DeliveryRecord): boolean {
  return attempt >= policy.maxDeliveryAttempts;
}

/** Lets a delivery wait for its next attempt. */
export function rest(
  draft: Draft,
  { name }: SubscriptionRecord,
  record: DeliveryRecord,
  until: { readonly dueMs: number; readonly detail?: string | undefined },
): void {
  draft.subscriptions.putDelivery(name, {
    ...record,
    lease: undefined,
    dueMs: until.dueMs,
    detail: until.detail ?? record.detail,
  });
}

/**
 * A delivery was refused: it waits for its next attempt, or is a dead letter where none is left. Returns from when it can be
 * claimed again; undefined where it is a dead letter.
 */
export function refuse(
  draft: Draft,
  subscription: SubscriptionRecord,
  record: DeliveryRecord,
  refusal: {
    readonly cause: DeadLetterCause;
    readonly detail: string | undefined;
    readonly nowMs: number;
    readonly copies: SignalCopies;
    /** How long it rests; undefined is what the policy says. */
    readonly delayMs?: number | undefined;
  },
): number | undefined {
  if (isExhausted(subscription, record)) {
    bury(draft, subscription, record, refusal);
    return undefined;
  }
  const { nowMs, detail, delayMs = backoffMs(subscription.policy, record.attempt) } = refusal;
  rest(draft, subscription, record, { dueMs: nowMs + delayMs, detail });
  return nowMs + delayMs;
}

/** Makes a dead letter of a delivery. */
export function bury(
  draft: Draft,
  { name }: SubscriptionRecord,
  record: DeliveryRecord,
  grave: {
    readonly cause: DeadLetterCause;
    readonly detail?: string | undefined;
    readonly nowMs: number;
    readonly copies: SignalCopies;
  },
): void {
  const { sequence, attempt, firstTimeMs, lastTimeMs } = record;
  const bytes = record.isHeld ? undefined : grave.copies.get(sequence);
  draft.subscriptions.bury(
    {
      subscription: name,
      sequence,
      cause: grave.cause,
      detail: grave.detail ?? record.detail ?? "",
      attempts: attempt,
      firstTimeMs,
      lastTimeMs,
      createTimeMs: grave.nowMs,
    },
    bytes,
    maxDeadLetters,
  );
}

/** How long a refused delivery rests: doubles with every attempt. */
function backoffMs({ minBackoffMs, maxBackoffMs }: SubscriptionPolicy, attempt: number): number {
  // Beyond 2^32 times the least nothing is left below the greatest.
  return Math.min(maxBackoffMs, minBackoffMs * 2 ** Math.min(attempt - 1, 32));
}

/** What the audit says of deliveries of one subscription. */
export function changeOfDeliveries(
  kind: StateChangeFields["kind"],
  { name, agentId }: SubscriptionRecord,
  sequences: readonly string[],
): StateChangeFields {
  let [from = 0n, through = 0n] = [BigInt(sequences[0] ?? 0), BigInt(sequences[0] ?? 0)];
  for (const text of sequences) {
    const sequence = BigInt(text);
    if (sequence < from) from = sequence;
    if (sequence > through) through = sequence;
  }
  return { kind, actors: agentId === "" ? [] : [agentId], sequences: { from, through }, detail: name };
}
