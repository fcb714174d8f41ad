import type { LogEntry } from "../../model/log-entry.js";
import type { DeliveryRecord } from "../../state/subscription-record.js";
import { readHeldSignal, readSignal } from "./signal-copies.js";
import type { PickSource } from "./signal-picker.js";

/** Reads the signal of a delivery; undefined where it has left the store meanwhile, and is a dead letter now. */
export function readDue(
  { environment, session, subscription }: PickSource,
  { sequence, isHeld }: DeliveryRecord,
): Promise<LogEntry | undefined> {
  if (isHeld) return readHeldSignal(environment, session, subscription.name, sequence);
  return readSignal(environment.reader, session, BigInt(sequence));
}
