import { CoordinationError } from "../../model/coordination-error.js";

/** What a caller waits before it tries again, in milliseconds: about as long as a database takes to restart. */
const retryDelayMs = 500;

/**
 * Classes of SQLSTATE after which the same thing may succeed: no connection, not authorised (any more), rolled back, resources
 * used up, object in use, operator's intervention, system error, no such database, a standby.
 */
const passingClasses = new Set(["08", "28", "40", "53", "55", "57", "58", "3D", "25"]);
/** Damage that PostgreSQL itself has found: in data, in an index; and a sequence that is taken although the head is before it. */
const damageCodes = new Set(["XX001", "XX002", "23505"]);

/** The SQLSTATE of an error, the code of a system error, or nothing. */
export function codeOf(error: unknown): string {
  return error instanceof Object && "code" in error ? String(error.code) : "";
}

/** Whether PostgreSQL itself refused, so that the connection is as good as before. */
export function isRefusal(error: unknown): boolean {
  return error instanceof Object && "severity" in error;
}

/** Whether an error as callers know it says that the database did not answer. */
export function isUnavailable(error: unknown): boolean {
  return error instanceof CoordinationError && error.reason === "STORE_UNAVAILABLE";
}

/**
 * The error as callers of the store know it: STORE_CORRUPT for damage, STORE_UNAVAILABLE for what passes, and anything else,
 * which nobody foresaw, without what the driver knows of the connection.
 */
export function storeError(error: unknown): unknown {
  if (error instanceof CoordinationError) return error;
  const code = codeOf(error);
  const cause = withoutConnection(error);
  if (damageCodes.has(code)) {
    return new CoordinationError("STORE_CORRUPT", `the database has found damage: ${cause.message}`, { cause });
  }
  if (isRefusal(error) && !passingClasses.has(code.slice(0, 2))) return cause;
  return new CoordinationError(
    "STORE_UNAVAILABLE",
    "the database did not answer; whether a change is there is not known",
    { cause, retryDelayMs },
  );
}

/** Says that the database is known to be away, so that nothing was tried. */
export function databaseAway(): CoordinationError {
  return new CoordinationError("STORE_UNAVAILABLE", "the database is out of reach; nothing was changed", {
    retryDelayMs,
  });
}

function withoutConnection(error: unknown): Error {
  if (!(error instanceof Object) || !("message" in error)) return new Error(String(error));
  const code = codeOf(error);
  const plain = new Error(`${String(error.message) || "no message"}${code === "" ? "" : ` (${code})`}`);
  plain.name = "PostgresError";
  return plain;
}
