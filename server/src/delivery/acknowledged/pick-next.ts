import { Priority } from "@coordination-signals/proto/coordination/v1/signal";
import { maxBatchSignals } from "../../model/limits.js";
import type { LogEntry } from "../../model/log-entry.js";
import type { DeliveryRecord } from "../../state/subscription-record.js";

/** A signal that can be handed out. */
export type PendingSignal =
  | { readonly is: "due"; readonly record: DeliveryRecord; readonly entry: LogEntry }
  | { readonly is: "new"; readonly entry: LogEntry };

/** How many more signals may be outstanding. */
export interface Room {
  readonly ordinary: number;
  /** Beside the ordinary ones. */
  readonly control: number;
}

/** What is handed out next, and how far the log is scanned with it. */
export interface Picked {
  readonly signals: readonly PendingSignal[];
  readonly throughSequence: bigint;
}

/** What can be handed out: deliveries that are due, by sequence, and what of the log follows the scan's position. */
export interface Pending {
  readonly due: readonly (PendingSignal & { readonly is: "due" })[];
  readonly log: readonly LogEntry[];
  readonly matches: (entry: LogEntry) => boolean;
  readonly position: bigint;
}

/**
 * Which pending signals come next: those that were delivered before, then the log in its order, as far as there is room.
 *
 * @param room how many more may be outstanding; what is due counts as outstanding already
 * @param capacity how many ordinary ones the consumers take
 */
export function pickNext({ due, log, matches, position }: Pending, room: Room, capacity: number): Picked {
  const signals: PendingSignal[] = due.slice(0, capacity);
  let throughSequence = position;
  let { control } = room;
  let ordinary = Math.min(room.ordinary, capacity - signals.length);
  for (const entry of log) {
    if (matches(entry)) {
      const isControl = isControlSignal(entry);
      if (signals.length >= maxBatchSignals || (isControl ? control : ordinary) <= 0) break;
      if (isControl) control -= 1;
      else ordinary -= 1;
      signals.push({ is: "new", entry });
    }
    throughSequence = entry.sequence;
  }
  return { signals, throughSequence };
}

/** Whether a signal is exempt from `max_outstanding`. */
export function isControlSignal({ priority }: LogEntry): boolean {
  return priority === Priority.CONTROL;
}
