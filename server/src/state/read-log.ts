import { maxBatchSignals, maxResponseBytes } from "../model/limits.js";
import type { LogEntry } from "../model/log-entry.js";
import type { CoordinationHeader } from "../store/signal-store.js";
import type { LogReader, LogStretch } from "./log-reader.js";
import type { SessionState } from "./session-state.js";

/** What one read of a log's next part found. */
export interface LogPart {
  readonly entries: readonly LogEntry[];
  /** Everything through this sequence was read. */
  readonly throughSequence: bigint;
}

/**
 * Reads the part of a log that follows a sequence, from memory when it is near the head, else from the store: at most 1,000
 * signals and about 1 MiB, or as many as `bounds` say. Never reads past the head that was visible when it was called. A
 * promise only where the store is read: most reads of a busy log need not wait.
 */
export function readLogAfter(
  reader: LogReader,
  session: SessionState,
  sequence: bigint,
  bounds: Omit<LogStretch, "fromSequence"> = {},
): LogPart | Promise<LogPart> {
  const { header, tail } = session;
  if (header === undefined || sequence >= header.headSequence) return { entries: [], throughSequence: sequence };
  const { maxEntries = maxBatchSignals, maxBytes = maxResponseBytes } = bounds;
  if (sequence >= tail.floorSequence) return partOf(tail.readAfter(sequence, maxEntries, maxBytes), header);
  tail.missed(sequence);
  return reader
    .forward(header, { fromSequence: sequence, maxEntries, maxBytes }, "expire")
    .then((entries) => partOf(entries, header));
}

function partOf(entries: readonly LogEntry[], { headSequence }: CoordinationHeader): LogPart {
  return { entries, throughSequence: entries.at(-1)?.sequence ?? headSequence };
}
