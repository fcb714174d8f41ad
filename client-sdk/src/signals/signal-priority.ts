import { Priority } from "@coordination-signals/proto/coordination/v1/signal";

/** How urgent a signal is. */
export type SignalPriority = "low" | "normal" | "high" | "control";

const priorities: Readonly<Record<SignalPriority, Priority>> = {
  low: Priority.LOW,
  normal: Priority.NORMAL,
  high: Priority.HIGH,
  control: Priority.CONTROL,
};

const levels: readonly Priority[] = [Priority.CONTROL, Priority.HIGH, Priority.NORMAL, Priority.LOW];

/** How many levels of priority there are. */
export const priorityLevelCount = levels.length;

/** The place of a signal's priority among the levels, 0 for the most urgent; what is not set, or not known here, is normal. */
export function priorityLevelOf(priority: Priority): number {
  return levels.indexOf(levels.includes(priority) ? priority : Priority.NORMAL);
}

/** The contract's value for a priority; `undefined` for a word that is none. */
export function priorityFromName(name: string): Priority | undefined {
  return Object.hasOwn(priorities, name) ? priorities[name as SignalPriority] : undefined;
}
