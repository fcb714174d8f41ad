import { Priority } from "@coordination-signals/proto/coordination/v1/signal";

/** The levels of priority, the most urgent first. */
export const priorityLevels: readonly Priority[] = [Priority.CONTROL, Priority.HIGH, Priority.NORMAL, Priority.LOW];

/** The place of a priority among the levels, 0 for the most urgent. What is not set is NORMAL. */
export function levelOf(priority: Priority): number {
  const level = priorityLevels.indexOf(priority);
  return level < 0 ? priorityLevels.indexOf(Priority.NORMAL) : level;
}

/** The level of CONTROL signals. */
export const controlLevel = levelOf(Priority.CONTROL);
