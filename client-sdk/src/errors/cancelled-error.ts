import { CancelledError } from "./coordination-client-error.js";

/** Makes the error of a call whose signal was aborted. Closing the client aborts with an error that says so. */
export function cancelledError(signal: AbortSignal): CancelledError {
  const reason: unknown = signal.reason;
  if (reason instanceof CancelledError) return reason;
  return new CancelledError({
    message: "cancelled by the caller",
    reason: "CANCELLED",
    code: "CANCELLED",
    cause: reason,
  });
}

/** Makes the error of everything that is pending, or is begun, once the client is closed. */
export function clientClosedError(): CancelledError {
  return new CancelledError({ message: "the client is closed", reason: "CLIENT_CLOSED", code: "CANCELLED" });
}
