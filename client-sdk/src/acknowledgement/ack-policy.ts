import { create } from "@bufbuild/protobuf";
import { durationFromMs } from "@bufbuild/protobuf/wkt";
import { AckMode, type AckPolicy, AckPolicySchema } from "@coordination-signals/proto/coordination/v1/acknowledgement";
import { invalidOption } from "../errors/invalid-option.js";
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

/** Makes the contract's span. Throws InvalidRequestError for what is none; its bounds are the server's to check. */
export function spanFrom(name: string, spanMs: number) {
  if (!(spanMs >= 0 && spanMs <= Number.MAX_SAFE_INTEGER))
    throw invalidOption(`${name} is ${spanMs}, which is no span`);
  return durationFromMs(spanMs);
}

/** Zero means the default to the server, which is not what somebody who writes 0 means. */
function countFrom(name: string, count: number | undefined): number {
  if (count === undefined) return 0;
  if (Number.isSafeInteger(count) && count >= 1 && count < 2 ** 32) return count;
  throw invalidOption(`${name} is ${count}, it must be a whole number from 1`);
}
