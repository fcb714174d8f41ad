import { ConnectError } from "@connectrpc/connect";
import type { Status } from "@coordination-signals/proto/google/rpc/status";
import { refusalFrom, refusalFromStatus } from "../../support/refusal.js";

// What a call fails with whose connection was cut, whose server was not there, or silent.
const lossCodes: readonly string[] = ["Unavailable", "Aborted", "Internal", "Canceled", "Unknown", "DeadlineExceeded"];
// What a server says that cannot know either.
const unknownReasons: readonly string[] = ["STORE_UNAVAILABLE", "SHUTTING_DOWN"];

/** Whether a call failed in a way that leaves open what became of it. */
export function isUnknownOutcome(error: unknown): boolean {
  const { code, reason } = refusalFrom(ConnectError.from(error));
  // A deadline may pass at the server a moment before it does here; then the error has a reason, and nothing more is known.
  if (reason === undefined || code === "DeadlineExceeded") return lossCodes.includes(code);
  return unknownReasons.includes(reason);
}

/** As `isUnknownOutcome`, of one item of a batch. */
export function isUnknownStatus(status: Status): boolean {
  return unknownReasons.includes(refusalFromStatus(status).reason ?? "");
}
