import { firstIndexNot } from "../../model/first-index.js";
import type { StoredHeader } from "./header-row.js";
import { isHeaderKey, ordinalFromKey, sequenceFromLogKey, space, textOfKey } from "./lmdb-records.js";
import type { RowChange } from "./lmdb-writer.js";

/*
 * What is durable in the write-ahead log and not yet in the tree, as far as it is read before it gets there: the rows of logs,
 * the headers, and which journal records there are. Everything else waits until the rest is in the tree.
 */

/** A row of the store. */
export interface Row {
  readonly key: Uint8Array;
  readonly value: Uint8Array;
}

/** A row of a log, with the sequence of its last entry. */
export interface LogRow extends Row {
  readonly lastSequence: bigint;
}

/** The headers that a commit leaves, by the ids of their coordinations. */
export type CommitHeaders = ReadonlyMap<string, StoredHeader | undefined>;

/** The commits of one region of the log. */
class PendingRegion {
  readonly headers = new Map<string, StoredHeader>();
  readonly logs = new Map<number, LogRow[]>();
  /** The journal records that were set or removed, by their keys. */
  readonly records = new Map<string, boolean>();

  add(changes: Iterable<RowChange>, headers: CommitHeaders): void {
    for (const { key, value } of changes) {
      if (key[0] === space.journal) this.records.set(textOfKey(key), value !== undefined);
      else if (key[0] === space.log && value !== undefined && !isHeaderKey(key)) this.#addLogRow(key, value);
    }
    for (const [id, stored] of headers) if (stored !== undefined) this.headers.set(id, stored);
  }

  #addLogRow(key: Uint8Array, value: Uint8Array): void {
    const row = { key, value, lastSequence: sequenceFromLogKey(key) };
    const ordinal = ordinalFromKey(key);
    const rows = this.logs.get(ordinal);
    if (rows === undefined) this.logs.set(ordinal, [row]);
    else rows.push(row);
  }
}

/** The rows that wait to be put into the tree: of the region that is written, and of the one that goes there now. */
export class PendingRows {
  #written = new PendingRegion();
  #leaving: PendingRegion | undefined;

  /** Whether nothing waits but what goes into the tree now. */
  get isEmpty(): boolean {
    return this.#written.headers.size === 0;
  }

  /** Adds the rows of a commit that is durable in the log, with the headers that it leaves; the rows' bytes stay as they are. */
  add(changes: Iterable<RowChange>, headers: CommitHeaders): void {
    this.#written.add(changes, headers);
  }

  /** What was added goes into the tree. */
  turn(): void {
    this.#leaving = this.#written;
    this.#written = new PendingRegion();
  }

  /** What went into the tree is there. */
  arrived(): void {
    this.#leaving = undefined;
  }

  /** Whether something of a coordination is not in the tree. */
  has(coordinationId: string): boolean {
    return this.header(coordinationId) !== undefined;
  }

  /** The header of a coordination; undefined where the tree has it. */
  header(coordinationId: string): StoredHeader | undefined {
    return this.#written.headers.get(coordinationId) ?? this.#leaving?.headers.get(coordinationId);
  }

  /** Whether a journal record is there; undefined where the tree knows. */
  hasRecord(key: Uint8Array): boolean | undefined {
    if (this.#written.records.size === 0 && this.#leaving === undefined) return undefined;
    const text = textOfKey(key);
    return this.#written.records.get(text) ?? this.#leaving?.records.get(text);
  }

  /** The rows of a log that end at or after a sequence, in their order. All follow those that were in the tree before. */
  logRows(ordinal: number, fromSequence: bigint): LogRow[] {
    const leaving = this.#leaving?.logs.get(ordinal) ?? [];
    const written = this.#written.logs.get(ordinal) ?? [];
    return [...rowsFrom(leaving, fromSequence), ...rowsFrom(written, fromSequence)];
  }
}

function rowsFrom(rows: readonly LogRow[], sequence: bigint): LogRow[] {
  return rows.slice(firstIndexNot(rows.length, (index) => (rows[index]?.lastSequence ?? sequence) < sequence));
}
