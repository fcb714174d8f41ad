import { randomBytes } from "node:crypto";
import type { LogEntry } from "../../model/log-entry.js";
import { type HashSeed, requestHash, seedBytes, seedFromBytes } from "../request-hash.js";
import { RequestTable } from "../request-table.js";
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
import { PackedLog } from "./packed-log.js";
import { type KeyedValue, RecordTable } from "./record-table.js";

interface MemoryCoordination {
  header: CoordinationHeader;
  readonly log: PackedLog;
  readonly requests: RequestTable;
  readonly records: Map<JournalKind, RecordTable>;
}

/** A store that lasts as long as the process: for tests, trials and workflows that may be lost. */
export class MemorySignalStore implements SignalStore {
  readonly url = "memory:";
  readonly isDurable = false;
  readonly failureIsFatal = false;
  readonly shared = undefined;
  readonly #coordinations = new Map<string, MemoryCoordination>();
  readonly #seed: HashSeed;

  /** `seed` keys the hashes of requests; random unless a test wants to know which are the same. */
  constructor(seed: HashSeed = seedFromBytes(randomBytes(seedBytes))) {
    this.#seed = seed;
  }

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
    const records = residentKinds.flatMap((kind) => recordsOf(kind, found.records.get(kind)?.entries() ?? []));
    return { header: found.header, records };
  }

  async readJournal(range: JournalRange): Promise<readonly JournalRecord[]> {
    const { coordinationId, epoch, kind } = range;
    return recordsOf(kind, this.#find(coordinationId, epoch)?.records.get(kind)?.read(range) ?? []);
  }

  async readForward(range: LogRange): Promise<readonly LogEntry[]> {
    return this.#find(range.coordinationId, range.epoch)?.log.readForward(range) ?? [];
  }

  async readBackward(range: LogRange): Promise<readonly LogEntry[]> {
    return this.#find(range.coordinationId, range.epoch)?.log.readBackward(range) ?? [];
  }

  async findRequests(
    coordinationId: string,
    epoch: string,
    keys: readonly string[],
  ): Promise<readonly (LogEntry | undefined)[]> {
    const found = this.#find(coordinationId, epoch);
    return keys.map((key) => found && this.#findRequest(found, key));
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

  /** The newest entry that a request made: what the table finds is only a hash. */
  #findRequest({ log, requests }: MemoryCoordination, requestKey: string): LogEntry | undefined {
    for (const sequence of requests.find(requestHash(this.#seed, requestKey))) {
      const entry = log.entryAt(BigInt(sequence));
      if (entry?.requestKey === requestKey) return entry;
    }
    return undefined;
  }

  #write(part: CoordinationChange): void {
    const { header, removeAfterSequence } = part;
    let target = this.#find(header.coordinationId, header.epoch);
    if (target === undefined) {
      target = { header, log: new PackedLog(), requests: new RequestTable(1), records: new Map() };
      this.#coordinations.set(header.coordinationId, target);
    }
    target.header = header;
    const { log, requests } = target;
    if (removeAfterSequence !== undefined) {
      log.removeAfter(removeAfterSequence);
      requests.removeAfter(Number(removeAfterSequence));
    }
    for (const entry of part.entries) {
      const { sequence, requestKey } = entry;
      log.append(entry);
      if (requestKey !== undefined) requests.add(Number(sequence), requestHash(this.#seed, requestKey));
    }
    log.removeThrough(header.trimmedThroughSequence);
    requests.removeThrough(Number(header.trimmedThroughSequence));
    changeRecords(target, part);
  }
}

function changeRecords(
  { records }: MemoryCoordination,
  { records: changes, trimRecords }: Pick<CoordinationChange, "records" | "trimRecords">,
): void {
  for (const { kind, key, value } of changes) {
    const table = records.get(kind) ?? new RecordTable();
    records.set(kind, table);
    if (value === undefined) table.delete(key);
    else table.set(key, value);
  }
  if (trimRecords !== undefined) records.get(trimRecords.kind)?.removeBefore(trimRecords.beforeKey);
}

function recordsOf(kind: JournalKind, found: Iterable<KeyedValue>): JournalRecord[] {
  return Array.from(found, ([key, value]) => ({ kind, key, value }));
}
