import { create } from "@bufbuild/protobuf";
import { AckMode, type AckPolicy, AckPolicySchema } from "@coordination-signals/proto/coordination/v1/acknowledgement";
import { countFrom } from "../options/count-from.js";
import { spanFrom } from "../options/span-from.js";
import { assertKnownOptions } from "../signals/signal-filter.js";

/** How deliveries of a named subscription are acknowledged and repeated. Whoever makes the subscription fixes it. */
export interface AckOptions {
  /** How long a consumer has a delivery to itself, in milliseconds, from 100 to an hour. Default 30,000. */
  readonly deadlineMs?: number | undefined;
  /** How often a signal is delivered before it becomes a dead letter, from 1 to 1,000. Default 5. */
  readonly maxDeliveryAttempts?: number | undefined;
  /** How long a refused delivery rests after its first attempt, in milliseconds; doubles with every attempt. Default 1,000. */
  readonly minBackoffMs?: number | undefined;
  /** How long a refused delivery rests at the most, in milliseconds, up to an hour. Default 60,000. */
  readonly maxBackoffMs?: number | undefined;
  /**
   * Signals of the subscription that may be delivered and not settled, from 1 to 10,000. With `order: "priority"` those of
   * priority "control" do not count: there may be 1,000 beside the others. Default 1,000.
   */
  readonly maxOutstanding?: number | undefined;
}

/** How long a delivery is its consumer's unless the options say otherwise, in milliseconds. */
export const defaultAckDeadlineMs = 30_000;

const ackKeys = [
  "deadlineMs",
  "maxDeliveryAttempts",
  "minBackoffMs",
  "maxBackoffMs",
  "maxOutstanding",
] as const satisfies readonly (keyof AckOptions)[];

/** Makes the contract's policy. Throws InvalidRequestError for options that cannot be understood. */
export function ackPolicyFrom(options: AckOptions = {}): AckPolicy {
  assertKnownOptions(options, ackKeys);
  const { deadlineMs, minBackoffMs, maxBackoffMs, maxDeliveryAttempts, maxOutstanding } = options;
  return create(AckPolicySchema, {
    mode: AckMode.EXPLICIT,
    maxDeliveryAttempts: countFrom("maxDeliveryAttempts", maxDeliveryAttempts),
    maxOutstanding: countFrom("maxOutstanding", maxOutstanding),
    ...(deadlineMs !== undefined && { ackDeadline: spanFrom("deadlineMs", deadlineMs) }),
    ...(minBackoffMs !== undefined && { minBackoff: spanFrom("minBackoffMs", minBackoffMs) }),
    ...(maxBackoffMs !== undefined && { maxBackoff: spanFrom("maxBackoffMs", maxBackoffMs) }),
  });
}
