import type { SessionState } from "../../state/session-state.js";
import type { SubscriptionRecord } from "../../state/subscription-record.js";
import { isOver, type StandingOptions } from "./standing.js";

/** How a named subscription stands. */
export interface SubscriptionView {
  readonly record: SubscriptionRecord;
  readonly scannedSequence: bigint;
  readonly headSequence: bigint;
  readonly outstandingCount: number;
  readonly leasedCount: number;
  readonly deadLetterCount: number;
  /** On this server. */
  readonly consumerCount: number;
}

/** What a server knows of a subscription beside its state. */
export interface LocalStanding {
  readonly position: bigint;
  readonly consumerCount: number;
}

/** The named subscriptions of a coordination by name. */
export function subscriptionViews(
  session: SessionState,
  localOf: (record: SubscriptionRecord) => LocalStanding | undefined,
  options: StandingOptions,
): readonly SubscriptionView[] {
  const { named, header } = session;
  const deadLetters = new Map<string, number>();
  for (const { subscription } of named.deadLetters.values()) {
    deadLetters.set(subscription, (deadLetters.get(subscription) ?? 0) + 1);
  }
  const records = [...named.definitions.values()].sort((a, b) => (a.name < b.name ? -1 : 1));
  return records.map((record) => {
    const local = localOf(record);
    const deliveries = [...named.deliveriesOf(record.name).values()];
    const stored = BigInt(named.scans.get(record.name)?.throughSequence ?? 0);
    return {
      record,
      scannedSequence: local !== undefined && local.position > stored ? local.position : stored,
      headSequence: header?.headSequence ?? 0n,
      outstandingCount: deliveries.length,
      leasedCount: deliveries.filter((delivery) => delivery.lease !== undefined && !isOver(delivery, options)).length,
      deadLetterCount: deadLetters.get(record.name) ?? 0,
      consumerCount: local?.consumerCount ?? 0,
    };
  });
}
