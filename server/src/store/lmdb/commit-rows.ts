import type { HashSeed } from "../request-hash.js";
import type {
  CommitPart,
  CoordinationChange,
  CoordinationHeader,
  JournalChange,
  JournalKind,
} from "../signal-store.js";
import { type StoredHeader, sealHeader } from "./header-row.js";
import {
  coordinationKey,
  countRecords,
  headerKey,
  journalBounds,
  journalKey,
  logKey,
  metaKey,
  noCounts,
  ordinalPrefix,
  prefixEnd,
  requestsBounds,
  requestsKey,
  seal,
  sealOrdinal,
  space,
} from "./lmdb-records.js";
import type { RowChange } from "./lmdb-writer.js";
import { chunksOf, LogChunk, sealChunk } from "./log-chunk.js";
import type { LmdbDatabase } from "./open-lmdb.js";
import { RequestRow, type RequestRun, sealRequests } from "./request-row.js";
import { RowBatch } from "./row-batch.js";

/** What the store knows beside its rows. */
export interface StoreState {
  /** The ordinal that the next coordination gets. */
  readonly nextOrdinal: number;
  /** How many coordinations there are. */
  readonly count: number;
  /** Ordinals of removed coordinations whose rows wait to be swept. */
  readonly garbage: ReadonlySet<number>;
  readonly seed: HashSeed;
}

// Rows of removed coordinations that one commit sweeps beside what it writes: bounds what a sender waits for.
const sweepRowsPerCommit = 512;
// Rows of requests that one commit writes: those of a log that had none yet follow over several.
const requestRowsPerCommit = 64;
// Journal records that one commit trims.
const maxTrimmedRecords = 4_096;
const nothing = new Uint8Array();

export const schemaKey = metaKey("schema");
export const countKey = metaKey("count");
export const ordinalKey = metaKey("ordinal");
export const seedKey = metaKey("seed");
export const appliedKey = metaKey("applied");

/** What a commit does to the requests of one log, in this order. */
export interface RequestChange {
  readonly ordinal: number;
  /** The log begins with this commit. */
  readonly isNew: boolean;
  readonly removedAfter: bigint | undefined;
  /** The hashes of entries that follow each other, from a sequence on. */
  readonly added: readonly { readonly firstSequence: bigint; readonly hashes: readonly number[] }[];
  readonly trimmedThrough: bigint;
  /** From now on rows hold the requests through this sequence; undefined where the commit wrote no such rows. */
  readonly rowsThrough: bigint | undefined;
}

/** Whether rows are taken away by a part of a commit, beside journal records that it names. `previous` is the header before it. */
export function takesRowsAway(part: CommitPart, previous: CoordinationHeader | undefined): boolean {
  if (part.action === "remove" || part.removeAfterSequence !== undefined || part.trimRecords !== undefined) return true;
  const { epoch, trimmedThroughSequence } = part.header;
  if (previous !== undefined && previous.epoch !== epoch) return true;
  return trimmedThroughSequence > (previous?.trimmedThroughSequence ?? 0n);
}

/** What a commit is made into rows with; all of it tells of the store as it is. */
export interface CommitRowsOptions {
  readonly db: LmdbDatabase;
  readonly state: StoreState;
  readonly header: (coordinationId: string) => StoredHeader | undefined;
  /** Whether a journal record is in the store. */
  readonly hasRecord: (key: Uint8Array) => boolean;
  /** Requests of a log, after those of trimmed signals, that are to have a row and have none yet: at most so many rows. */
  readonly unwrittenRequests: (stored: StoredHeader, trimmedThrough: bigint, maxRows: number) => readonly RequestRun[];
}

/** Turns the parts of one commit into rows. It only reads the store: whatever is found damaged, nothing has been written. */
export class CommitRows {
  readonly #db: LmdbDatabase;
  readonly #header: (coordinationId: string) => StoredHeader | undefined;
  readonly #batch: RowBatch;
  readonly #garbage: Set<number>;
  readonly #seed: HashSeed;
  readonly #unwrittenRequests: CommitRowsOptions["unwrittenRequests"];
  /** What is to be known of requests once the rows are written. */
  readonly requests: RequestChange[] = [];
  /** The headers that the commit leaves; undefined for those it removes. */
  readonly headers = new Map<string, StoredHeader | undefined>();
  #nextOrdinal: number;
  #count: number;
  #requestRows = 0;

  constructor({ db, state, header, hasRecord, unwrittenRequests }: CommitRowsOptions) {
    this.#db = db;
    this.#header = header;
    this.#unwrittenRequests = unwrittenRequests;
    this.#seed = state.seed;
    this.#batch = new RowBatch(hasRecord);
    this.#garbage = new Set(state.garbage);
    this.#nextOrdinal = state.nextOrdinal;
    this.#count = state.count;
  }

  /** The rows of what was added. */
  get changes(): readonly RowChange[] {
    return this.#batch.changes;
  }

  /** What the store is to know once the rows are written. */
  get state(): StoreState {
    return { nextOrdinal: this.#nextOrdinal, count: this.#count, garbage: this.#garbage, seed: this.#seed };
  }

  add(part: CommitPart): void {
    if (part.action === "write") this.#write(part);
    else this.#remove(part.coordinationId);
  }

  /** Adds the removal of some rows that nobody can meet any more. */
  sweepGarbage(): void {
    let rest = sweepRowsPerCommit;
    for (const ordinal of [...this.#garbage]) {
      for (const inSpace of [space.journal, space.log, space.requests]) {
        if (rest <= 0) return;
        const start = ordinalPrefix(inSpace, ordinal);
        for (const key of this.#db.getKeys({ start, end: prefixEnd(start), limit: rest })) {
          this.#batch.remove(key);
          rest -= 1;
        }
      }
      if (rest <= 0) return;
      this.#batch.remove(ordinalPrefix(space.garbage, ordinal));
      this.#garbage.delete(ordinal);
    }
  }

  #write(part: CoordinationChange): void {
    const { header } = part;
    const id = header.coordinationId;
    let previous = this.#header(id);
    if (previous !== undefined && previous.header.epoch !== header.epoch) {
      this.#remove(id);
      previous = undefined;
    }
    const ordinal = previous?.ordinal ?? this.#takeOrdinal(id);
    // One that was written before there were all kinds has fewer.
    const counts = noCounts.map((none, kind) => previous?.counts[kind] ?? none);
    this.#removeThrough(ordinal, previous?.header.trimmedThroughSequence ?? 0n, header.trimmedThroughSequence);
    if (part.removeAfterSequence !== undefined) {
      this.#removeAfter(ordinal, part.removeAfterSequence, header.trimmedThroughSequence);
    }
    this.#append(ordinal, part, previous);
    this.#writeRecords(ordinal, counts, part.records);
    if (part.trimRecords !== undefined) this.#trimRecords(ordinal, counts, part.trimRecords);
    const stored = { header, ordinal, counts };
    const key = headerKey(ordinal);
    this.#batch.put(key, sealHeader(key, stored));
    this.headers.set(id, stored);
  }

  #append(
    ordinal: number,
    { header, entries, removeAfterSequence }: CoordinationChange,
    previous: StoredHeader | undefined,
  ): void {
    const added: RequestChange["added"][number][] = [];
    for (const chunk of chunksOf(this.#seed, entries)) {
      const key = logKey(ordinal, chunk.lastSequence);
      this.#batch.put(key, sealChunk(key, chunk));
      added.push(chunk);
    }
    const trimmedThrough = header.trimmedThroughSequence;
    // A commit that takes entries out leaves those that wait for a row to the next one.
    const isPlain = previous !== undefined && removeAfterSequence === undefined;
    const rowsThrough = isPlain ? this.#writeRequests(previous, trimmedThrough) : undefined;
    const isNew = previous === undefined;
    this.requests.push({ ordinal, isNew, removedAfter: removeAfterSequence, added, trimmedThrough, rowsThrough });
  }

  /** Writes rows of the requests of earlier commits; answers through which sequence rows have them then. */
  #writeRequests(stored: StoredHeader, trimmedThrough: bigint): bigint | undefined {
    const runs = this.#unwrittenRequests(stored, trimmedThrough, requestRowsPerCommit - this.#requestRows);
    for (const run of runs) {
      const key = requestsKey(stored.ordinal, run.lastSequence);
      this.#batch.put(key, sealRequests(key, run));
    }
    this.#requestRows += runs.length;
    return runs.at(-1)?.lastSequence;
  }

  #writeRecords(ordinal: number, counts: number[], records: readonly JournalChange[]): void {
    for (const { kind, key: name, value } of records) {
      const key = journalKey(ordinal, kind, name);
      if (value === undefined) countRecords(counts, kind, -this.#batch.removeCounted(key));
      else countRecords(counts, kind, this.#batch.putCounted(key, seal(key, value)));
    }
  }

  #remove(coordinationId: string): void {
    const stored = this.#header(coordinationId);
    if (stored === undefined) return;
    this.#batch.remove(coordinationKey(coordinationId));
    this.#batch.remove(headerKey(stored.ordinal));
    const key = ordinalPrefix(space.garbage, stored.ordinal);
    this.#batch.put(key, seal(key, nothing));
    this.#garbage.add(stored.ordinal);
    this.#setCount(this.#count - 1);
    this.headers.set(coordinationId, undefined);
  }

  #takeOrdinal(coordinationId: string): number {
    const ordinal = this.#nextOrdinal;
    const key = coordinationKey(coordinationId);
    this.#batch.put(key, sealOrdinal(key, ordinal));
    this.#nextOrdinal += 1;
    this.#batch.put(ordinalKey, sealOrdinal(ordinalKey, this.#nextOrdinal));
    this.#setCount(this.#count + 1);
    return ordinal;
  }

  #setCount(count: number): void {
    this.#count = count;
    this.#batch.put(countKey, sealOrdinal(countKey, count));
  }

  /** Removes rows all of whose entries are to go; the row that holds the next entry keeps the last ones that have gone. */
  #removeThrough(ordinal: number, afterSequence: bigint, throughSequence: bigint): void {
    if (afterSequence >= throughSequence) return;
    for (const keyOf of [logKey, requestsKey]) {
      const range = { start: keyOf(ordinal, afterSequence + 1n), end: keyOf(ordinal, throughSequence + 1n) };
      for (const key of this.#db.getKeys(range)) this.#batch.remove(key);
    }
  }

  /** Removes entries and requests after a sequence; of a row that begins before it what is not trimmed is left. */
  #removeAfter(ordinal: number, sequence: bigint, trimmedThrough: bigint): void {
    const isTrimmed = sequence <= trimmedThrough;
    for (const { key, value } of this.#db.getRange({
      start: logKey(ordinal, sequence + 1n),
      end: headerKey(ordinal),
    })) {
      this.#batch.remove(key);
      const chunk = LogChunk.open(key, value);
      if (chunk.firstSequence > sequence || isTrimmed) continue;
      const rest = logKey(ordinal, sequence);
      this.#batch.put(rest, sealChunk(rest, chunk.through(sequence)));
    }
    for (const { key, value } of this.#db.getRange(requestsBounds(ordinal, sequence))) {
      this.#batch.remove(key);
      const row = new RequestRow(key, value);
      if (row.firstSequence > sequence || isTrimmed) continue;
      const rest = requestsKey(ordinal, sequence);
      this.#batch.put(rest, sealRequests(rest, row.through(sequence)));
    }
  }

  #trimRecords(
    ordinal: number,
    counts: number[],
    { kind, beforeKey }: { readonly kind: JournalKind; readonly beforeKey: string },
  ): void {
    const { start } = journalBounds(ordinal, kind);
    const end = journalKey(ordinal, kind, beforeKey);
    for (const key of this.#db.getKeys({ start, end, limit: maxTrimmedRecords })) {
      countRecords(counts, kind, -this.#batch.removeCounted(key));
    }
  }
}
