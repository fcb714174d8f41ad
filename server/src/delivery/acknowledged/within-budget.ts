import type { CoordinationError } from "../../model/coordination-error.js";
import { isBudgetExceeded } from "../../model/is-budget-exceeded.js";

/** What `ask` answers; FILTER_BUDGET_EXCEEDED is an answer, too. */
export function withinBudget<T>(ask: () => T): T | CoordinationError {
  try {
    return ask();
  } catch (error) {
    if (isBudgetExceeded(error)) return error;
    throw error;
  }
}
