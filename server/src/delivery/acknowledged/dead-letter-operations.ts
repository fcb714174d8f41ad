import { maxRedriven } from "../../model/limits.js";
import { coordinationNotFound } from "../../registry/agent-registry.js";
import type { Draft } from "../../state/draft.js";
import type { DeadLetterRecord } from "../../state/subscription-record.js";
import { existingSubscription } from "./acknowledge-operation.js";
import { notADeadLetter, tooManyRedriven } from "./acknowledgement-errors.js";
import { changeOfDeliveries } from "./settle-delivery.js";

/** Which dead letters to put back. */
export interface RedriveRequest {
  /** Undefined for those of all subscriptions. */
  readonly name: string | undefined;
  /** Empty for all of them; else each is one of the subscription. */
  readonly sequences: readonly bigint[];
}

/**
 * Puts dead letters back: they can be delivered as soon as there is room, and their attempts start again. Answers how many: where
 * sequences are not named, those that do not fit stay dead letters. Throws COORDINATION_NOT_FOUND, SUBSCRIPTION_NOT_FOUND,
 * SIGNAL_NOT_FOUND, TOO_MANY_REDRIVEN.
 */
export function redrive(draft: Draft, request: RedriveRequest, nowMs: number): number {
  if (draft.header === undefined) throw coordinationNotFound(draft.coordinationId);
  if (request.name !== undefined) existingSubscription(draft, request.name);
  const letters = withinRoom(draft, request, chosenLetters(draft, request));
  const byName = new Map<string, string[]>();
  for (const letter of letters) {
    const { sequence, subscription, firstTimeMs, lastTimeMs } = letter;
    const delivery = { sequence, attempt: 0, claim: 0, dueMs: nowMs, isHeld: true, firstTimeMs, lastTimeMs } as const;
    draft.subscriptions.revive(letter, delivery);
    byName.set(subscription, [...(byName.get(subscription) ?? []), sequence]);
  }
  for (const [name, sequences] of byName) {
    const subscription = existingSubscription(draft, name);
    draft.changeHeader({}, changeOfDeliveries("deadLettersRedriven", subscription, sequences));
  }
  return letters.length;
}

function chosenLetters(draft: Draft, { name, sequences }: RedriveRequest): readonly DeadLetterRecord[] {
  if (name === undefined) return [...draft.subscriptions.deadLetters()];
  if (sequences.length === 0) {
    return [...draft.subscriptions.deadLetters()].filter(({ subscription }) => subscription === name);
  }
  return sequences.map((sequence) => {
    const letter = draft.subscriptions.deadLetter(name, String(sequence));
    if (letter === undefined) throw notADeadLetter(name, String(sequence));
    return letter;
  });
}

/** Those of the letters for which there is room: the ones that came first, which would be the first to go. */
function withinRoom(
  draft: Draft,
  { sequences }: RedriveRequest,
  letters: readonly DeadLetterRecord[],
): readonly DeadLetterRecord[] {
  const redriven = draft.subscriptions.redrivenCount;
  const room = Math.max(0, maxRedriven - redriven);
  if (letters.length > room && sequences.length > 0) {
    throw tooManyRedriven(draft.coordinationId, { wanted: letters.length, redriven, limit: maxRedriven });
  }
  return letters.slice(0, room);
}

/** Removes a subscription with what it holds. Throws COORDINATION_NOT_FOUND, SUBSCRIPTION_NOT_FOUND. */
export function deleteSubscription(draft: Draft, name: string): void {
  const { agentId } = existingSubscription(draft, name);
  draft.subscriptions.remove(name);
  const actors = agentId === "" ? [] : [agentId];
  draft.changeHeader({}, { kind: "subscriptionDeleted", actors, detail: name });
}
