import type { LogEntry } from "../../model/log-entry.js";
import {
  type CommitOutcome,
  type CommitPart,
  type CoordinationChange,
  type CoordinationHeader,
  type JournalKind,
  type JournalRange,
  type JournalRecord,
  type LogRange,
  residentKinds,
  type SignalStore,
  type StoredCoordination,
} from "../signal-store.js";

interface MemoryCoordination {
  header: CoordinationHeader;
  /** Entries in sequence order; those before `firstIndex` are trimmed and wait for the next compaction. */
  entries: LogEntry[];
  firstIndex: number;
  readonly records: Map<JournalKind, Map<string, JournalRecord>>;
  readonly requests: Map<string, LogEntry>;
}

// Compacting in steps of this many keeps the cost of trimming constant per entry.
const compactionEntries = 1024;

/** A store that lasts as long as the process: for tests, trials and workflows that may be lost. */
export class MemorySignalStore implements SignalStore {
  readonly url = "memory:";
  readonly isDurable = false;
  readonly failureIsFatal = false;
  readonly shared = undefined;
  readonly #coordinations = new Map<string, MemoryCoordination>();

  async commit(parts: readonly CommitPart[]): Promise<readonly CommitOutcome[]> {
    return parts.map((part) => {
      if (part.action === "remove") this.#coordinations.delete(part.coordinationId);
      else this.#write(part);
      return "committed";
    });
  }

  async load(coordinationId: string): Promise<StoredCoordination | undefined> {
    const found = this.#coordinations.get(coordinationId);
    if (found === undefined) return undefined;
    return {
      header: found.header,
      records: residentKinds.flatMap((kind) => [...(found.records.get(kind)?.values() ?? [])]),
    };
  }

  async readJournal(range: JournalRange): Promise<readonly JournalRecord[]> {
    const records = this.#find(range.coordinationId, range.epoch)?.records.get(range.kind);
    const { fromKey, descending = false } = range;
    const isInRange = (key: string): boolean =>
      fromKey === undefined || (descending ? compareKeys(key, fromKey) < 0 : compareKeys(key, fromKey) > 0);
    const found = [...(records?.values() ?? [])].filter(({ key }) => isInRange(key));
    found.sort((a, b) => (descending ? compareKeys(b.key, a.key) : compareKeys(a.key, b.key)));
    return found.slice(0, range.limit);
  }

  async readForward(range: LogRange): Promise<readonly LogEntry[]> {
    const found = this.#find(range.coordinationId, range.epoch);
    if (found === undefined) return [];
    const read: LogEntry[] = [];
    let bytes = 0;
    for (let index = indexAfter(found, range.fromSequence); index < found.entries.length; index++) {
      const entry = found.entries[index];
      if (entry === undefined || read.length === range.maxEntries) break;
      bytes += entry.bytes.length;
      if (read.length > 0 && bytes > range.maxBytes) break;
      read.push(entry);
    }
    return read;
  }

  async readBackward(range: LogRange): Promise<readonly LogEntry[]> {
    const found = this.#find(range.coordinationId, range.epoch);
    if (found === undefined) return [];
    const read: LogEntry[] = [];
    let bytes = 0;
    for (let index = indexAfter(found, range.fromSequence - 1n) - 1; index >= found.firstIndex; index--) {
      const entry = found.entries[index];
      if (entry === undefined || read.length === range.maxEntries) break;
      bytes += entry.bytes.length;
      if (read.length > 0 && bytes > range.maxBytes) break;
      read.push(entry);
    }
    return read;
  }

  async findRequests(
    coordinationId: string,
    epoch: string,
    keys: readonly string[],
  ): Promise<readonly (LogEntry | undefined)[]> {
    const found = this.#find(coordinationId, epoch);
    return keys.map((key) => found?.requests.get(key));
  }

  async list(afterId: string, limit: number): Promise<readonly CoordinationHeader[]> {
    const ids = [...this.#coordinations.keys()].filter((id) => id > afterId).sort();
    return ids.slice(0, limit).flatMap((id) => this.#coordinations.get(id)?.header ?? []);
  }

  count(): number {
    return this.#coordinations.size;
  }

  async close(): Promise<void> {
    this.#coordinations.clear();
  }

  #find(coordinationId: string, epoch: string): MemoryCoordination | undefined {
    const found = this.#coordinations.get(coordinationId);
    return found?.header.epoch === epoch ? found : undefined;
  }

  #write(part: CoordinationChange): void {
    const { header } = part;
    let target = this.#find(header.coordinationId, header.epoch);
    if (target === undefined) {
      target = { header, entries: [], firstIndex: 0, records: new Map(), requests: new Map() };
      this.#coordinations.set(header.coordinationId, target);
    }
    target.header = header;
    if (part.removeAfterSequence !== undefined) removeAfter(target, part.removeAfterSequence);
    for (const entry of part.entries) {
      target.entries.push(entry);
      if (entry.requestKey !== undefined) target.requests.set(entry.requestKey, entry);
    }
    for (const { kind, key, value } of part.records) {
      const ofKind = target.records.get(kind) ?? new Map<string, JournalRecord>();
      target.records.set(kind, ofKind);
      if (value === undefined) ofKind.delete(key);
      else ofKind.set(key, { kind, key, value });
    }
    if (part.trimRecords !== undefined) trimRecords(target, part.trimRecords);
    trim(target);
  }
}

function trimRecords(
  { records }: MemoryCoordination,
  { kind, beforeKey }: NonNullable<CoordinationChange["trimRecords"]>,
): void {
  const ofKind = records.get(kind);
  for (const key of ofKind?.keys() ?? []) {
    if (compareKeys(key, beforeKey) < 0) ofKind?.delete(key);
  }
}

function removeAfter(target: MemoryCoordination, sequence: bigint): void {
  for (const entry of target.entries.splice(indexAfter(target, sequence))) forgetRequest(target, entry);
}

function forgetRequest({ requests }: MemoryCoordination, entry: LogEntry): void {
  const name = entry.requestKey;
  if (name === undefined) return;
  // A request sent again after its signal left the history belongs to the newer entry.
  if (requests.get(name) === entry) requests.delete(name);
}

/** Keys in the order of their bytes, as other stores have them. */
function compareKeys(a: string, b: string): number {
  return Buffer.compare(Buffer.from(a), Buffer.from(b));
}

function trim(target: MemoryCoordination): void {
  const { entries, header } = target;
  while (target.firstIndex < entries.length) {
    const entry = entries[target.firstIndex];
    if (entry === undefined || entry.sequence > header.trimmedThroughSequence) break;
    forgetRequest(target, entry);
    target.firstIndex += 1;
  }
  if (target.firstIndex >= compactionEntries && target.firstIndex * 2 >= entries.length) {
    entries.splice(0, target.firstIndex);
    target.firstIndex = 0;
  }
}

/** The index of the first entry after a sequence. */
function indexAfter(found: MemoryCoordination, sequence: bigint): number {
  let low = found.firstIndex;
  let high = found.entries.length;
  while (low < high) {
    const middle = (low + high) >>> 1;
    const entry = found.entries[middle];
    if (entry !== undefined && entry.sequence <= sequence) low = middle + 1;
    else high = middle;
  }
  return low;
}
