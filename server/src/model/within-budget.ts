import { CoordinationError } from "./coordination-error.js";

/** What `ask` answers; that an expression is too dear for a signal, FILTER_BUDGET_EXCEEDED, is an answer, too. */
export function withinBudget<T>(ask: () => T): T | CoordinationError {
  try {
    return ask();
  } catch (error) {
    if (error instanceof CoordinationError && error.reason === "FILTER_BUDGET_EXCEEDED") return error;
    throw error;
  }
}
