import { laterOf } from "../../model/cursor.js";
import type { Draft } from "../../state/draft.js";
import type { SubscriptionRecord } from "../../state/subscription-record.js";
import { changeOfDeliveries } from "./settle-delivery.js";

/**
 * Moves a subscription that stands behind the trim point to it. Trimming takes those along that it finds, so that none is left behind
 * but what an older server has made so. Nobody knows which of the signals were its: all count as dead letters that had to go. Answers
 * how many.
 */
export function passTrimmed(draft: Draft, { name, secret }: SubscriptionRecord): number {
  const subscription = draft.subscriptions.get(name);
  if (subscription?.secret !== secret || draft.header === undefined) return 0;
  const through = draft.header.trimmedThroughSequence;
  const passed = BigInt(draft.subscriptions.scan(name).throughSequence);
  if (passed >= through) return 0;
  const count = Number(through - passed);
  draft.subscriptions.dropUnmade(name, { count, through });
  draft.subscriptions.movePlace(name, (position) => laterOf(position, through));
  const sequences = [String(passed + 1n), String(through)];
  draft.changeHeader({}, changeOfDeliveries("signalsDeadLettered", subscription, sequences));
  return count;
}
