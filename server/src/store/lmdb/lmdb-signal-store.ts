import { dirname, join } from "node:path";
import { CoordinationError } from "../../model/coordination-error.js";
import type { LogEntry } from "../../model/log-entry.js";
import { LogPage } from "../log-page.js";
import { seedFromBytes } from "../request-hash.js";
import type {
  CommitOutcome,
  CommitPart,
  CoordinationHeader,
  JournalKind,
  JournalRange,
  JournalRecord,
  LogRange,
  SignalStore,
  StoredCoordination,
} from "../signal-store.js";
import { CommitRows, countKey, ordinalKey, type StoreState, schemaKey, seedKey, takesRowsAway } from "./commit-rows.js";
import { createLmdb, prepareDirectory, unusable } from "./create-lmdb.js";
import { checkDataFile } from "./data-file.js";
import { type DirectoryLock, lockDirectory } from "./directory-lock.js";
import { type StoredHeader, unsealHeader } from "./header-row.js";
import {
  coordinationKey,
  headerKey,
  journalBounds,
  journalKey,
  journalKinds,
  journalNameFromKey,
  ordinalFromKey,
  prefixEnd,
  recordCount,
  residentBounds,
  schemaVersion,
  space,
  unseal,
} from "./lmdb-records.js";
import { LmdbWriter } from "./lmdb-writer.js";
import { LogChunk } from "./log-chunk.js";
import { LogRows } from "./log-rows.js";
import { dataFileName, type LmdbDatabase, openLmdb } from "./open-lmdb.js";
import { RequestIndex } from "./request-index.js";
import { requestsPerRow } from "./request-row.js";
import { openStoreWriter, type StoreWriter, turnBytes } from "./store-writer.js";
import { upgradeLmdb } from "./upgrade-lmdb.js";

/** Where an LMDB store lives. */
export interface LmdbStoreOptions {
  /** A directory for this store alone; made when it does not exist. */
  readonly directory: string;
  /** Signals whose requests share one row; 4,080 unless a test wants to see many rows. */
  readonly requestsPerRow?: number;
  /** Bytes of commits in the write-ahead log that go into the tree together; a mebibyte unless a test wants to see many such turns. */
  readonly turnBytes?: number;
}

// Headers kept decoded; the rest are read again when they are asked for.
const maxCachedHeaders = 10_000;

/**
 * Opens the embedded store. Throws DirectoryInUseError when another process has it, STORE_CORRUPT when it is damaged, and an
 * Error that says what is wrong when the directory cannot be used or holds something else.
 */
export async function openLmdbStore(options: LmdbStoreOptions): Promise<SignalStore> {
  const directory = prepareDirectory(options.directory);
  const path = join(directory, dataFileName);
  const lock = await claim(options.directory, path);
  let tree: LmdbWriter | undefined;
  let writer: StoreWriter | undefined;
  try {
    await createLmdb(directory);
    await upgradeLmdb(path);
    const db = openLmdb(path);
    tree = new LmdbWriter(db, path);
    const url = `lmdb:${options.directory}`;
    checkLayout(db, url);
    writer = await openStoreWriter({ db, tree, directory, turnBytes: options.turnBytes ?? turnBytes });
    const rows = new LogRows(db, writer.pending);
    const requests = new RequestIndex(db, rows, options.requestsPerRow ?? requestsPerRow);
    const store = new LmdbSignalStore({ db, rows, writer, lock, requests, url });
    store.begin();
    return store;
  } catch (error) {
    await (writer ?? tree)?.close();
    await lock.release();
    throw isSystemError(error) ? unusable(options.directory, error) : error;
  }
}

/** Throws an Error when the layout is another one. */
function checkLayout(db: LmdbDatabase, url: string): void {
  const version = unseal(schemaKey, db.getBinary(schemaKey) ?? Buffer.of()).readUInt32BE();
  if (version === schemaVersion) return;
  throw new Error(
    `store ${url} has layout ${version}, this server knows ${schemaVersion}: use the server that wrote it, or another directory`,
  );
}

/** Takes the directory for this process. What is not a store is refused before anything is touched. */
async function claim(directory: string, path: string): Promise<DirectoryLock> {
  try {
    checkDataFile(path);
    return await lockDirectory(dirname(path));
  } catch (error) {
    throw isSystemError(error) ? unusable(directory, error) : error;
  }
}

/** Whether the system refused something: Node's errors name the call, LMDB's have the number. */
function isSystemError(error: unknown): boolean {
  if (typeof error !== "object" || error === null) return false;
  return "syscall" in error || ("code" in error && typeof error.code === "number" && error.code > 0);
}

interface LmdbStoreParts {
  readonly url: string;
  readonly db: LmdbDatabase;
  readonly rows: LogRows;
  readonly writer: StoreWriter;
  readonly lock: DirectoryLock;
  readonly requests: RequestIndex;
}

class LmdbSignalStore implements SignalStore {
  readonly url: string;
  readonly isDurable = true;
  readonly failureIsFatal = true;
  readonly shared = undefined;
  readonly #db: LmdbDatabase;
  readonly #rows: LogRows;
  readonly #writer: StoreWriter;
  readonly #lock: DirectoryLock;
  readonly #requests: RequestIndex;
  readonly #headers = new Map<string, StoredHeader>();
  #state: StoreState = { nextOrdinal: 1, count: 0, garbage: new Set(), seed: [0, 0] };

  constructor({ url, db, rows, writer, lock, requests }: LmdbStoreParts) {
    this.url = url;
    this.#db = db;
    this.#rows = rows;
    this.#writer = writer;
    this.#lock = lock;
    this.#requests = requests;
  }

  /** Finds what an earlier process left to be swept, and that every coordination can be found. */
  begin(): void {
    const garbage = new Set<number>();
    for (const { key, value } of this.#rowsOf(Buffer.of(space.garbage))) {
      unseal(key, value);
      garbage.add(ordinalFromKey(key));
    }
    let count = 0;
    for (const { key, value } of this.#rowsOf(Buffer.of(space.coordination))) {
      const ordinal = unseal(key, value).readUInt32BE();
      const coordinationId = Buffer.from(key.subarray(1)).toString();
      if (!this.#db.doesExist(key)) throw damaged(`row ${Buffer.from(key).toString("hex")} is not found by its key`);
      this.#headerAt(ordinal, coordinationId);
      count += 1;
    }
    const expected = this.#number(countKey);
    if (count !== expected) throw damaged(`it holds ${count} coordinations, it should hold ${expected}`);
    const seed = seedFromBytes(this.#value(seedKey));
    this.#state = { nextOrdinal: this.#number(ordinalKey), count, garbage, seed };
  }

  async commit(parts: readonly CommitPart[]): Promise<readonly CommitOutcome[]> {
    const isLoggable = !this.#takesRowsAway(parts);
    // Which rows are to go is read from the tree.
    if (!isLoggable) await this.#writer.drain();
    const rows = new CommitRows({
      db: this.#db,
      state: this.#state,
      header: (id) => this.#header(id),
      hasRecord: (key) => this.#writer.pending.hasRecord(key) ?? this.#db.doesExist(key),
      unwrittenRequests: (...of) => this.#requests.unwritten(...of),
    });
    for (const part of parts) rows.add(part);
    rows.sweepGarbage();
    const { changes, headers } = rows;
    if (changes.length > 0) await this.#writer.commit({ changes, headers, isLoggable });
    this.#state = rows.state;
    for (const [id, stored] of headers) this.#takeOver(id, stored);
    for (const change of rows.requests) this.#requests.apply(change);
    return parts.map(() => "committed");
  }

  async load(coordinationId: string): Promise<StoredCoordination | undefined> {
    await this.#arrived(coordinationId);
    // Not from the cache: a commit may be on its way, and header and records are to be of one state.
    const stored = this.#readHeader(coordinationId);
    if (stored === undefined) return undefined;
    for (const kind of journalKinds) this.#checkRecordCount(stored, kind);
    const rows = residentBounds(stored.ordinal).flatMap((bounds) => [...this.#db.getRange(bounds)]);
    return { header: stored.header, records: rows.map(journalRecord) };
  }

  async readJournal(range: JournalRange): Promise<readonly JournalRecord[]> {
    await this.#arrived(range.coordinationId);
    const ordinal = this.#stored(range.coordinationId, range.epoch)?.ordinal;
    if (ordinal === undefined) return [];
    const { fromKey, descending = false, limit } = range;
    const { start, end } = journalBounds(ordinal, range.kind);
    const from = fromKey === undefined ? undefined : journalKey(ordinal, range.kind, fromKey);
    const rows = descending
      ? this.#db.getRange({ start: from ?? end, end: start, limit, reverse: true, exclusiveStart: true })
      : this.#db.getRange({ start: from ?? start, end, limit, exclusiveStart: true });
    return [...rows].map(journalRecord);
  }

  async readForward(range: LogRange): Promise<readonly LogEntry[]> {
    const stored = this.#stored(range.coordinationId, range.epoch);
    if (stored === undefined) return [];
    let after = stored.header.trimmedThroughSequence;
    if (range.fromSequence > after) after = range.fromSequence;
    const page = new LogPage(range);
    for (const row of this.#rows.from(stored.ordinal, after + 1n)) {
      const chunk = LogChunk.open(row.key, row.value);
      const first = chunk.firstSequence > after ? 0 : Number(after + 1n - chunk.firstSequence);
      for (let index = first; index < chunk.count; index++) {
        if (!page.add(chunk.entryAt(index))) return page.entries;
      }
    }
    return page.entries;
  }

  async readBackward(range: LogRange): Promise<readonly LogEntry[]> {
    const stored = this.#stored(range.coordinationId, range.epoch);
    if (stored === undefined) return [];
    const { trimmedThroughSequence: trimmed } = stored.header;
    const before = range.fromSequence;
    const page = new LogPage(range);
    if (before <= trimmed + 1n) return page.entries;
    for (const row of this.#rows.backwardFrom(stored.ordinal, before - 1n, trimmed)) {
      const chunk = LogChunk.open(row.key, row.value);
      const last = chunk.lastSequence < before ? chunk.count - 1 : Number(before - 1n - chunk.firstSequence);
      for (let index = last; index >= 0; index--) {
        const entry = chunk.entryAt(index);
        if (entry.sequence <= trimmed || !page.add(entry)) return page.entries;
      }
    }
    return page.entries;
  }

  async findRequests(
    coordinationId: string,
    epoch: string,
    keys: readonly string[],
  ): Promise<readonly (LogEntry | undefined)[]> {
    const ordinal = this.#stored(coordinationId, epoch)?.ordinal;
    if (ordinal === undefined) return keys.map(() => undefined);
    if (this.#requests.has(ordinal)) {
      this.#requests.touch(ordinal);
    } else {
      await this.#arrived(coordinationId);
      // As it is now: a commit may be on its way, and header and entries are to be of one state.
      const stored = this.#readHeader(coordinationId);
      if (stored?.ordinal !== ordinal) return keys.map(() => undefined);
      this.#requests.read(stored);
    }
    return keys.map((key) => this.#requests.find(ordinal, this.#state.seed, key));
  }

  async list(afterId: string, limit: number): Promise<readonly CoordinationHeader[]> {
    await this.#writer.drain();
    const headers: CoordinationHeader[] = [];
    const start = Buffer.concat([coordinationKey(afterId), Buffer.of(0)]);
    for (const { key, value } of this.#db.getRange({ start, end: Buffer.of(space.coordination + 1), limit })) {
      const coordinationId = Buffer.from(key.subarray(1)).toString();
      headers.push(this.#headerAt(unseal(key, value).readUInt32BE(), coordinationId).header);
    }
    return headers;
  }

  count(): number {
    return this.#state.count;
  }

  async close(): Promise<void> {
    await this.#writer.close();
    await this.#lock.release();
  }

  #takeOver(coordinationId: string, stored: StoredHeader | undefined): void {
    const before = this.#headers.get(coordinationId);
    if (before !== undefined && before.ordinal !== stored?.ordinal) this.#requests.forget(before.ordinal);
    if (stored === undefined) this.#headers.delete(coordinationId);
    else this.#remember(coordinationId, stored);
  }

  #header(coordinationId: string): StoredHeader | undefined {
    const cached = this.#headers.get(coordinationId);
    if (cached !== undefined) return cached;
    const stored = this.#writer.pending.header(coordinationId) ?? this.#readHeader(coordinationId);
    if (stored !== undefined) this.#remember(coordinationId, stored);
    return stored;
  }

  /** Whether rows are to go, of these parts or of coordinations that were removed. */
  #takesRowsAway(parts: readonly CommitPart[]): boolean {
    if (this.#state.garbage.size > 0) return true;
    return parts.some((part) => {
      const id = part.action === "remove" ? part.coordinationId : part.header.coordinationId;
      return takesRowsAway(part, this.#header(id)?.header);
    });
  }

  /** Resolves when all that is durable of a coordination is in the tree. */
  async #arrived(coordinationId: string): Promise<void> {
    if (this.#writer.pending.has(coordinationId)) await this.#writer.drain();
  }

  #readHeader(coordinationId: string): StoredHeader | undefined {
    const key = coordinationKey(coordinationId);
    const value = this.#db.getBinary(key);
    return value && this.#headerAt(unseal(key, value).readUInt32BE(), coordinationId);
  }

  #headerAt(ordinal: number, coordinationId: string): StoredHeader {
    const key = headerKey(ordinal);
    const value = this.#db.getBinary(key);
    if (value === undefined) throw damaged(`the header of "${coordinationId}" is missing`);
    const stored = unsealHeader(ordinal, key, value);
    if (stored.header.coordinationId === coordinationId) return stored;
    throw damaged(`the header of "${coordinationId}" belongs to another coordination`);
  }

  #checkRecordCount({ header, ordinal, counts }: StoredHeader, kind: JournalKind): void {
    const found = this.#db.getKeysCount(journalBounds(ordinal, kind));
    const expected = recordCount(counts, kind);
    if (found === expected) return;
    throw damaged(`"${header.coordinationId}" has ${found} journal records (${kind}), it should have ${expected}`);
  }

  #remember(coordinationId: string, stored: StoredHeader): void {
    this.#headers.delete(coordinationId);
    this.#headers.set(coordinationId, stored);
    if (this.#headers.size <= maxCachedHeaders) return;
    for (const id of this.#headers.keys()) {
      this.#headers.delete(id);
      return;
    }
  }

  #stored(coordinationId: string, epoch: string): StoredHeader | undefined {
    const stored = this.#header(coordinationId);
    return stored?.header.epoch === epoch ? stored : undefined;
  }

  /** A number that is kept beside the coordinations. */
  #number(key: Uint8Array): number {
    return this.#value(key).readUInt32BE();
  }

  #value(key: Uint8Array): Buffer {
    const value = this.#db.getBinary(key);
    if (value === undefined) throw damaged(`row ${Buffer.from(key).toString("hex")} is missing`);
    return unseal(key, value);
  }

  #rowsOf(prefix: Buffer): Iterable<{ readonly key: Uint8Array; readonly value: Uint8Array }> {
    return this.#db.getRange({ start: prefix, end: prefixEnd(prefix) });
  }
}

function journalRecord({ key, value }: { readonly key: Uint8Array; readonly value: Uint8Array }): JournalRecord {
  return { ...journalNameFromKey(key), value: Buffer.from(unseal(key, value)) };
}

function damaged(what: string): CoordinationError {
  return new CoordinationError("STORE_CORRUPT", `the store is damaged: ${what}`);
}
