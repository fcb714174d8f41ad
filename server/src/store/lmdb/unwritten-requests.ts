import { nextSequence } from "../next-sequence.js";
import type { CoordinationHeader } from "../signal-store.js";
import type { LogRequests } from "./read-requests.js";
import type { RequestRun } from "./request-row.js";

/** Which rows of requests are to be written. */
export interface UnwrittenRange {
  /** The header of the log as it is, whose commits the requests in memory have followed. */
  readonly header: CoordinationHeader;
  /** Signals through this sequence are leaving. */
  readonly trimmedThrough: bigint;
  readonly maxRows: number;
  /** Signals in one row. */
  readonly perRow: number;
}

/**
 * The requests of a log that have no row yet, as the next rows: whole ones, and a shorter one where a rollback has left a gap
 * behind it. Costs next to nothing while fewer signals wait than a row has.
 */
export function unwrittenRequests({ table, rowsThrough }: LogRequests, range: UnwrittenRange): readonly RequestRun[] {
  const { header, trimmedThrough, maxRows, perRow } = range;
  const { headSequence, removedRanges } = header;
  const runs: RequestRun[] = [];
  let after = rowsThrough > trimmedThrough ? rowsThrough : trimmedThrough;
  while (runs.length < maxRows && headSequence - after >= perRow) {
    const firstSequence = nextSequence(after, removedRanges);
    const lastSequence = lastBeforeGap(firstSequence, firstSequence + BigInt(perRow) - 1n, header);
    if (lastSequence > headSequence) break;
    const hashes = table.hashes(Number(firstSequence), Number(lastSequence));
    runs.push({ firstSequence, lastSequence, hashes });
    after = lastSequence;
  }
  return runs;
}

/** The last sequence from `first` through `last` before a rollback took out what follows. */
function lastBeforeGap(first: bigint, last: bigint, { removedRanges }: CoordinationHeader): bigint {
  let before = last;
  for (const { afterSequence } of removedRanges) {
    if (afterSequence >= first && afterSequence < before) before = afterSequence;
  }
  return before;
}
