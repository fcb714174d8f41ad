import { CoordinationError } from "../../model/coordination-error.js";
import type { LogEntry } from "../../model/log-entry.js";
import { type HashSeed, requestHash } from "../request-hash.js";
import { RequestTable } from "../request-table.js";
import type { RequestChange } from "./commit-rows.js";
import type { StoredHeader } from "./header-row.js";
import { LogChunk } from "./log-chunk.js";
import type { LogRows } from "./log-rows.js";
import type { LmdbDatabase } from "./open-lmdb.js";
import { type LogRequests, readRequests } from "./read-requests.js";
import type { RequestRun } from "./request-row.js";
import { unwrittenRequests } from "./unwritten-requests.js";

/*
 * Finds the entries that requests made. Most requests are new, so most answers are "there is none", and a wrong one takes a
 * signal twice. The answer comes from a table in memory, which is made when the requests of a log are first asked for: every
 * entry of it has been seen then, its checksum fits and none is missing, so that what is not in the table is not in the log.
 * From then on the table follows the commits. What it finds is only a hash: the entry itself says which request made it.
 *
 * So that the table is made soon, commits write what it holds into rows of some thousands of hashes each. Only a log whose
 * table is in memory gets new rows: they cost nothing to look up then, and one that has none yet gets them once it is in use.
 */

// Signals that the tables have room for, of about sixteen bytes each; the table not asked for longest is made again when it is.
const maxIndexedSignals = 4_000_000;

/** Looks up requests. */
export class RequestIndex {
  readonly #db: LmdbDatabase;
  readonly #rows: LogRows;
  readonly #perRow: number;
  /** By the ordinals of their logs, the one not asked for longest first. */
  readonly #logs = new Map<number, LogRequests>();
  #capacity = 0;

  /** `perRow`: signals in one row of requests. */
  constructor(db: LmdbDatabase, rows: LogRows, perRow: number) {
    this.#db = db;
    this.#rows = rows;
    this.#perRow = perRow;
  }

  /** Whether a log's requests are in memory. */
  has(ordinal: number): boolean {
    return this.#logs.has(ordinal);
  }

  /** Reads the requests of a log, all of which is in the tree; `stored` is its header there. Throws STORE_CORRUPT. */
  read(stored: StoredHeader): void {
    this.#keep(stored.ordinal, readRequests(this.#db, stored));
  }

  /** The newest entry that a request made in a log that is in memory; undefined when there is none. Throws STORE_CORRUPT. */
  find(ordinal: number, seed: HashSeed, requestKey: string): LogEntry | undefined {
    const table = this.#logs.get(ordinal)?.table;
    if (table === undefined) return undefined;
    for (const sequence of table.find(requestHash(seed, requestKey))) {
      const entry = this.#entryAt(ordinal, BigInt(sequence));
      if (entry.requestKey === requestKey) return entry;
    }
    return undefined;
  }

  /** Notes that a log is asked for. */
  touch(ordinal: number): void {
    const log = this.#logs.get(ordinal);
    if (log === undefined) return;
    this.#logs.delete(ordinal);
    this.#logs.set(ordinal, log);
  }

  /** Requests that the next commit is to write rows of, at most so many; those of signals through `trimmedThrough` are leaving. */
  unwritten({ ordinal, header }: StoredHeader, trimmedThrough: bigint, maxRows: number): readonly RequestRun[] {
    const log = this.#logs.get(ordinal);
    if (log === undefined) return [];
    return unwrittenRequests(log, { header, trimmedThrough, maxRows, perRow: this.#perRow });
  }

  /** Follows a commit that is on disk. */
  apply({ ordinal, isNew, removedAfter, added, trimmedThrough, rowsThrough }: RequestChange): void {
    const log = this.#logs.get(ordinal) ?? (isNew ? this.#keep(ordinal, noRequests()) : undefined);
    if (log === undefined) return;
    const { table } = log;
    const before = table.capacity;
    if (rowsThrough !== undefined) log.rowsThrough = rowsThrough;
    if (removedAfter !== undefined) table.removeAfter(Number(removedAfter));
    for (const { firstSequence, hashes } of added) {
      const first = Number(firstSequence);
      for (let index = 0; index < hashes.length; index++) table.add(first + index, hashes[index] ?? 0);
    }
    table.removeThrough(Number(trimmedThrough));
    this.#capacity += table.capacity - before;
    this.#makeRoom(ordinal);
  }

  /** Forgets a log that was removed. */
  forget(ordinal: number): void {
    this.#capacity -= this.#logs.get(ordinal)?.table.capacity ?? 0;
    this.#logs.delete(ordinal);
  }

  #keep(ordinal: number, log: LogRequests): LogRequests {
    this.#logs.set(ordinal, log);
    this.#capacity += log.table.capacity;
    this.#makeRoom(ordinal);
    return log;
  }

  /** Forgets tables until the rest is small enough, or is this one. */
  #makeRoom(kept: number): void {
    for (const ordinal of this.#logs.keys()) {
      if (this.#capacity <= maxIndexedSignals) return;
      if (ordinal !== kept) this.forget(ordinal);
    }
  }

  #entryAt(ordinal: number, sequence: bigint): LogEntry {
    for (const { key, value } of this.#rows.from(ordinal, sequence)) {
      const chunk = LogChunk.open(key, value);
      if (chunk.firstSequence <= sequence) return chunk.entryAt(Number(sequence - chunk.firstSequence));
      break;
    }
    throw new CoordinationError(
      "STORE_CORRUPT",
      `the store is damaged: a request made signal ${sequence}, which is missing`,
    );
  }
}

function noRequests(): LogRequests {
  return { table: new RequestTable(1), rowsThrough: 0n };
}
