import type { Logger } from "pino";
import { uuidv7 } from "uuidv7";
import { CoordinationError } from "../model/coordination-error.js";

/** Stands for what nobody foresaw: the cause is logged here, the client gets the id under which it was. */
export function internalError(error: unknown, method: string, logger: Logger): CoordinationError {
  const errorId = uuidv7();
  logger.error({ err: error, errorId, method }, "unexpected error");
  return new CoordinationError("INTERNAL", `internal error, logged under ${errorId}`, {
    metadata: { error_id: errorId },
  });
}
