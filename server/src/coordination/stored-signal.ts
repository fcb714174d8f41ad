import type { LogEntry } from "../model/log-entry.js";

/** Where a signal was stored. */
export class StoredSignal {
  readonly entry: LogEntry;
  /** Whether an earlier request with the same request_id stored it. */
  readonly isDeduplicated: boolean;
  readonly epoch: string;

  constructor(entry: LogEntry, isDeduplicated: boolean, epoch: string) {
    this.entry = entry;
    this.isDeduplicated = isDeduplicated;
    this.epoch = epoch;
  }

  get signalId(): string {
    return this.entry.signalId;
  }

  get sequence(): bigint {
    return this.entry.sequence;
  }

  /** When the server accepted it, on the wall clock. */
  get timestampMs(): number {
    return this.entry.timestampMs;
  }
}
