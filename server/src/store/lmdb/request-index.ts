import { CoordinationError } from "../../model/coordination-error.js";
import type { LogEntry } from "../../model/log-entry.js";
import { nextSequence } from "../next-sequence.js";
import type { CoordinationHeader } from "../signal-store.js";
import type { RequestChange } from "./commit-rows.js";
import type { StoredHeader } from "./header-row.js";
import { headerKey, logKey } from "./lmdb-records.js";
import { LogChunk } from "./log-chunk.js";
import type { LmdbDatabase } from "./open-lmdb.js";
import { type HashSeed, requestHash } from "./request-hash.js";
import { RequestTable } from "./request-table.js";

/*
 * Finds the entries that requests made. Most requests are new, so most answers are "there is none", and a wrong one takes a
 * signal twice. The answer comes from a table in memory, which is made of a log when its requests are first asked for: every
 * entry of it has been seen then, its checksum fits and none is missing, so that what is not in the table is not in the log.
 * From then on the table follows the commits. What it finds is only a hash: the entry itself says which request made it.
 */

// Signals that the tables have room for, of about sixteen bytes each; the table not asked for longest is made again when it is.
const maxIndexedSignals = 4_000_000;

/** Looks up requests. */
export class RequestIndex {
  readonly #db: LmdbDatabase;
  /** By the ordinals of their logs, the one not asked for longest first. */
  readonly #tables = new Map<number, RequestTable>();
  #capacity = 0;

  constructor(db: LmdbDatabase) {
    this.#db = db;
  }

  /** Whether a log's requests are in memory. */
  has(ordinal: number): boolean {
    return this.#tables.has(ordinal);
  }

  /** Reads the requests of a log; `stored` is its header as it is now. Throws STORE_CORRUPT. */
  read(stored: StoredHeader): void {
    this.#keep(stored.ordinal, this.#tableOf(stored));
  }

  /** The newest entry that a request made in a log that is in memory; undefined when there is none. Throws STORE_CORRUPT. */
  find(ordinal: number, seed: HashSeed, requestKey: string): LogEntry | undefined {
    const table = this.#tables.get(ordinal);
    if (table === undefined) return undefined;
    for (const sequence of table.find(requestHash(seed, requestKey))) {
      const entry = this.#entryAt(ordinal, BigInt(sequence));
      if (entry.requestKey === requestKey) return entry;
    }
    return undefined;
  }

  /** Notes that a log is asked for. */
  touch(ordinal: number): void {
    const table = this.#tables.get(ordinal);
    if (table === undefined) return;
    this.#tables.delete(ordinal);
    this.#tables.set(ordinal, table);
  }

  /** Follows a commit that is on disk. */
  apply({ ordinal, isNew, removedAfter, added, trimmedThrough }: RequestChange): void {
    const table = this.#tables.get(ordinal) ?? (isNew ? this.#keep(ordinal, new RequestTable(1)) : undefined);
    if (table === undefined) return;
    const before = table.capacity;
    if (removedAfter !== undefined) table.removeAfter(Number(removedAfter));
    for (const { firstSequence, hashes } of added) {
      const first = Number(firstSequence);
      hashes.forEach((hash, index) => table.add(first + index, hash));
    }
    table.removeThrough(Number(trimmedThrough));
    this.#capacity += table.capacity - before;
    this.#makeRoom(ordinal);
  }

  /** Forgets a log that was removed. */
  forget(ordinal: number): void {
    this.#capacity -= this.#tables.get(ordinal)?.capacity ?? 0;
    this.#tables.delete(ordinal);
  }

  #keep(ordinal: number, table: RequestTable): RequestTable {
    this.#tables.set(ordinal, table);
    this.#capacity += table.capacity;
    this.#makeRoom(ordinal);
    return table;
  }

  /** Forgets tables until the rest is small enough, or is this one. */
  #makeRoom(kept: number): void {
    for (const ordinal of this.#tables.keys()) {
      if (this.#capacity <= maxIndexedSignals) return;
      if (ordinal !== kept) this.forget(ordinal);
    }
  }

  #tableOf({ header, ordinal }: StoredHeader): RequestTable {
    const { trimmedThroughSequence: trimmed, headSequence, removedRanges } = header;
    const table = new RequestTable(Number(trimmed) + 1, Number(headSequence - trimmed));
    let last = trimmed;
    for (const row of this.#db.getRange({ start: logKey(ordinal, trimmed + 1n), end: headerKey(ordinal) })) {
      const chunk = LogChunk.look(row.key, row.value);
      const next = nextSequence(last, removedRanges);
      // The first row may begin with what was trimmed.
      if (chunk.firstSequence > next || (chunk.firstSequence < next && last > trimmed)) throw missing(header, next);
      const first = Number(chunk.firstSequence);
      for (let index = 0; index < chunk.count; index++) table.add(first + index, chunk.hashAt(index));
      last = chunk.lastSequence;
    }
    const next = nextSequence(last, removedRanges);
    if (next !== headSequence + 1n) throw missing(header, next);
    return table;
  }

  #entryAt(ordinal: number, sequence: bigint): LogEntry {
    for (const { key, value } of this.#db.getRange({
      start: logKey(ordinal, sequence),
      end: headerKey(ordinal),
      limit: 1,
    })) {
      const chunk = LogChunk.open(key, value);
      if (chunk.firstSequence <= sequence) return chunk.entryAt(Number(sequence - chunk.firstSequence));
    }
    throw damaged(`a request made signal ${sequence}, which is missing`);
  }
}

function missing({ coordinationId }: CoordinationHeader, sequence: bigint): CoordinationError {
  return damaged(`signal ${sequence} of "${coordinationId}" is not where it should be`);
}

function damaged(what: string): CoordinationError {
  return new CoordinationError("STORE_CORRUPT", `the store is damaged: ${what}`);
}
