import { CoordinationError } from "../../model/coordination-error.js";
import { nextSequence } from "../next-sequence.js";
import { RequestTable } from "../request-table.js";
import type { CoordinationHeader } from "../signal-store.js";
import type { StoredHeader } from "./header-row.js";
import { headerKey, logKey, requestsBounds } from "./lmdb-records.js";
import { LogChunk } from "./log-chunk.js";
import type { LmdbDatabase } from "./open-lmdb.js";
import { RequestRow } from "./request-row.js";

/** The requests of one log, in memory. */
export interface LogRequests {
  readonly table: RequestTable;
  /** Rows of requests have those through this sequence that a rollback has not taken out; the rest are in the log alone. */
  rowsThrough: bigint;
}

/**
 * Reads the requests of a log: from their own rows as far as these go, and behind them from the log. Every entry has been seen
 * then, with a checksum that fits, and none is missing. `stored` is the header as it is now. Throws STORE_CORRUPT.
 */
export function readRequests(db: LmdbDatabase, { header, ordinal }: StoredHeader): LogRequests {
  const reading = new RequestReading(header);
  for (const { key, value } of db.getRange(requestsBounds(ordinal, reading.last))) {
    reading.add(new RequestRow(key, value));
  }
  const rowsThrough = reading.last;
  const rest = { start: logKey(ordinal, rowsThrough + 1n), end: headerKey(ordinal) };
  for (const { key, value } of db.getRange(rest)) reading.add(LogChunk.look(key, value), rowsThrough);
  return { table: reading.end(), rowsThrough };
}

/** What both kinds of rows say of the requests of entries that follow each other. */
interface HashedEntries {
  readonly firstSequence: bigint;
  readonly lastSequence: bigint;
  readonly count: number;
  hashAt(index: number): number;
}

class RequestReading {
  /** The last sequence that is known, or need not be. */
  last: bigint;
  readonly #header: CoordinationHeader;
  readonly #table: RequestTable;

  constructor(header: CoordinationHeader) {
    const { trimmedThroughSequence: trimmed, headSequence } = header;
    this.last = trimmed;
    this.#header = header;
    this.#table = new RequestTable(Number(trimmed) + 1, Number(headSequence - trimmed));
  }

  /** Adds the entries of the next row; the one that has the entry behind `cut` may begin before it. */
  add(row: HashedEntries, cut = this.#header.trimmedThroughSequence): void {
    const next = this.#next();
    if (row.firstSequence > next || (row.firstSequence < next && this.last !== cut)) throw this.#missing(next);
    const first = Number(row.firstSequence);
    for (let index = 0; index < row.count; index++) this.#table.add(first + index, row.hashAt(index));
    this.last = row.lastSequence;
  }

  end(): RequestTable {
    const next = this.#next();
    if (next !== this.#header.headSequence + 1n) throw this.#missing(next);
    return this.#table;
  }

  #next(): bigint {
    return nextSequence(this.last, this.#header.removedRanges);
  }

  #missing(sequence: bigint): CoordinationError {
    const { coordinationId } = this.#header;
    return new CoordinationError(
      "STORE_CORRUPT",
      `the store is damaged: signal ${sequence} of "${coordinationId}" is not where it should be`,
    );
  }
}
