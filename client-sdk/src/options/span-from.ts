import { type Duration, durationFromMs } from "@bufbuild/protobuf/wkt";
import { amountRule, checkNumber } from "./check-number.js";

/**
 * Makes the contract's span of an option in milliseconds, to the whole nanosecond. Throws InvalidRequestError for what is no span;
 * its bounds are the server's to check.
 */
export function spanFrom(name: string, spanMs: number): Duration {
  checkNumber(name, spanMs, amountRule);
  const span = durationFromMs(spanMs);
  span.nanos = Math.trunc(span.nanos);
  return span;
}
