import { type Duration, durationMs, type Timestamp, timestampFromMs } from "@bufbuild/protobuf/wkt";
import {
  DeliveryOrder,
  StartPosition,
  type SubscribeRequest,
} from "@coordination-signals/proto/coordination/v1/signal_service";
import type { DeliveryOrder as ReadingOrder } from "../delivery/reading-order.js";
import type { SubscriptionStart } from "../delivery/subscription-start.js";
import { CoordinationError } from "../model/coordination-error.js";
import { decodeCursor } from "../model/cursor.js";
import { defaultPageSize } from "../model/limits.js";

/** Where a Subscribe request starts. Throws INVALID_CURSOR. */
export function subscriptionStart(start: SubscribeRequest["start"]): SubscriptionStart {
  switch (start.case) {
    case "afterSequence":
      return { at: "sequence", afterSequence: start.value };
    case "startTime":
      return { at: "time", timeMs: ceilingMs(start.value) };
    case "cursor":
      return { at: "cursor", cursor: decodeCursor(start.value) };
    case "position":
      return { at: start.value === StartPosition.EARLIEST ? "earliest" : "latest" };
    case undefined:
      return { at: "latest" };
  }
}

/** The order in which a Subscribe request wants its signals. */
export function deliveryOrder(order: DeliveryOrder): ReadingOrder {
  return order === DeliveryOrder.PRIORITY ? "priority" : "sequence";
}

/** A span in milliseconds, or its default when it is not set. */
export function spanMs(duration: Duration | undefined, defaultMs: number): number {
  return duration === undefined ? defaultMs : durationMs(duration);
}

/** Refuses a stretch of the log that ends before it begins; without an end, which is 0, none does. Throws INVALID_REQUEST. */
export function checkStretch({
  afterSequence,
  untilSequence,
}: {
  readonly afterSequence: bigint;
  readonly untilSequence: bigint;
}): void {
  if (untilSequence === 0n || untilSequence >= afterSequence) return;
  throw new CoordinationError(
    "INVALID_REQUEST",
    `until_sequence is ${untilSequence}, it must not be below after_sequence, which is ${afterSequence}`,
    { metadata: { field: "until_sequence" } },
  );
}

/** A page size, or the default when it is 0. */
export function pageSizeOf(pageSize: number): number {
  return pageSize === 0 ? defaultPageSize : pageSize;
}

/** A time as a Timestamp; undefined where there is none. */
export function optionalTimestamp(timeMs: number | undefined): Timestamp | undefined {
  return timeMs === undefined || timeMs === 0 ? undefined : timestampFromMs(timeMs);
}

/** Rounded up: signals are accepted at whole milliseconds, and none before the time may be taken for one after it. */
function ceilingMs({ seconds, nanos }: Timestamp): number {
  return Number(seconds) * 1000 + Math.ceil(nanos / 1_000_000);
}
