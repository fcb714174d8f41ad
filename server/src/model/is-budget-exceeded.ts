import { CoordinationError } from "./coordination-error.js";

/** Whether an error says that an expression is too dear for a signal. */
export function isBudgetExceeded(error: unknown): error is CoordinationError {
  return error instanceof CoordinationError && error.reason === "FILTER_BUDGET_EXCEEDED";
}
