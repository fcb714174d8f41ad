import { CoordinationError } from "../model/coordination-error.js";
import type { LogEntry } from "../model/log-entry.js";

/** One attempt to deliver a signal that has to be acknowledged. */
export interface DeliveryItem {
  readonly deliveryId: string;
  /** From 1. */
  readonly attempt: number;
  readonly deadlineMs: number;
}

/** One thing a reader is told. */
export type TailItem =
  | {
      readonly kind: "subscribed";
      readonly epoch: string;
      readonly headSequence: bigint;
      readonly cursor: string;
    }
  | {
      readonly kind: "batch";
      readonly entries: readonly LogEntry[];
      /** What to acknowledge, one for each entry; undefined where nothing is. */
      readonly deliveries?: readonly DeliveryItem[];
      readonly afterSequence: bigint;
      readonly throughSequence: bigint;
      readonly cursor: string;
    }
  | {
      readonly kind: "checkpoint";
      readonly afterSequence: bigint;
      readonly throughSequence: bigint;
      readonly cursor: string;
    }
  | { readonly kind: "caughtUp"; readonly throughSequence: bigint; readonly cursor: string };

/** How a stream ends when the server stops. */
export function shuttingDown(whatToDo: string): CoordinationError {
  return new CoordinationError("SHUTTING_DOWN", `the server is shutting down: ${whatToDo}`, { retryDelayMs: 100 });
}
