import { CoordinationError } from "../model/coordination-error.js";

/** Refuses what would change something while the server stops. */
export function takesNoChanges(): CoordinationError {
  return new CoordinationError("SHUTTING_DOWN", "the server is shutting down: send again with the same request_id", {
    retryDelayMs: 100,
  });
}
