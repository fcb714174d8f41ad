import type { Departure } from "../model/departure.js";
import type { LogEntry } from "../model/log-entry.js";
import type { LogReader } from "../state/log-reader.js";
import type { SessionState } from "../state/session-state.js";
import type { SignalView } from "./signal-view.js";

/** As the signals stand in the log, or the most urgent first. */
export type DeliveryOrder = "sequence" | "priority";

/** What a reader gets next, and where it then stands. */
export interface ReadPart {
  /** In the order in which they are handed out; empty where only something was scanned. */
  readonly entries: readonly LogEntry[];
  readonly positions: readonly bigint[];
}

/**
 * The order in which a reader gets what is in the log. What comes next is a function of the log and of the reader's
 * positions; nothing else is remembered. A position is the last sequence scanned; there is one, or one for each level that is
 * read by itself.
 */
export interface ReadingOrder {
  readonly levelCount: number;
  /**
   * Reads what comes after these positions. What it answers counts only if the log is still the same one: a rollback or a
   * removal may have come in between. A promise only where it has to wait.
   */
  readNext(source: ReadingSource, positions: readonly bigint[]): ReadPart | Promise<ReadPart>;
}

/** What is read, and with whose eyes. Aborted, it need not be read on: what was found counts all the same. */
export interface ReadingSource extends Departure {
  readonly session: SessionState;
  readonly reader: LogReader;
  readonly view: SignalView;
  /** Whether a signal is sent to this reader, whatever its filter says. */
  isForReader(entry: LogEntry): boolean;
}
