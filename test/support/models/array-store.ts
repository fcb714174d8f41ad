import type { LogEntry } from "../../../server/src/model/log-entry.js";
import {
  type CommitPart,
  type CoordinationChange,
  type CoordinationHeader,
  type JournalKind,
  type JournalRange,
  type JournalRecord,
  type LogRange,
  residentKinds,
} from "../../../server/src/store/signal-store.js";

/** A coordination in the model: what is left of its log and its journal. Never changed, but replaced. */
export interface ArrayCoordination {
  readonly header: CoordinationHeader;
  readonly entries: readonly LogEntry[];
  readonly records: readonly JournalRecord[];
}

/** What a store promises, in the most obvious way there is: arrays that are filtered. */
export class ArrayStore {
  readonly #coordinations = new Map<string, ArrayCoordination>();

  get(coordinationId: string): ArrayCoordination | undefined {
    return this.#coordinations.get(coordinationId);
  }

  /** Headers in the order of their names. */
  get headers(): readonly CoordinationHeader[] {
    const ids = [...this.#coordinations.keys()].sort();
    return ids.flatMap((id) => this.#coordinations.get(id)?.header ?? []);
  }

  commit(part: CommitPart): void {
    if (part.action === "remove") this.#coordinations.delete(part.coordinationId);
    else this.#coordinations.set(part.header.coordinationId, changed(this.get(part.header.coordinationId), part));
  }
}

function changed(before: ArrayCoordination | undefined, part: CoordinationChange): ArrayCoordination {
  const { header, removeAfterSequence, trimRecords } = part;
  const kept = (before?.entries ?? []).filter(
    ({ sequence }) => removeAfterSequence === undefined || sequence <= removeAfterSequence,
  );
  let records = before?.records ?? [];
  for (const { kind, key, value } of part.records) {
    records = records.filter((record) => record.kind !== kind || record.key !== key);
    if (value !== undefined) records = [...records, { kind, key, value }];
  }
  if (trimRecords !== undefined) {
    const { kind, beforeKey } = trimRecords;
    records = records.filter((record) => record.kind !== kind || compareBytes(record.key, beforeKey) >= 0);
  }
  const entries = [...kept, ...part.entries].filter(({ sequence }) => sequence > header.trimmedThroughSequence);
  return { header, entries, records };
}

/** The records that are loaded with a coordination. */
export function residentRecords({ records }: ArrayCoordination): readonly JournalRecord[] {
  const kinds: readonly JournalKind[] = residentKinds;
  return records.filter(({ kind }) => kinds.includes(kind));
}

/** What a read of the log is to answer. */
export function entriesIn(
  found: ArrayCoordination | undefined,
  range: LogRange,
  direction: "forward" | "backward",
): readonly LogEntry[] {
  if (found?.header.epoch !== range.epoch) return [];
  const entries =
    direction === "forward"
      ? found.entries.filter(({ sequence }) => sequence > range.fromSequence)
      : found.entries.filter(({ sequence }) => sequence < range.fromSequence).reverse();
  const read: LogEntry[] = [];
  let bytes = 0;
  for (const entry of entries.slice(0, range.maxEntries)) {
    bytes += entry.bytes.length;
    if (read.length > 0 && bytes > range.maxBytes) break;
    read.push(entry);
  }
  return read;
}

/** What a read of the journal is to answer. */
export function recordsIn(found: ArrayCoordination | undefined, range: JournalRange): readonly JournalRecord[] {
  const { kind, fromKey, descending = false, limit } = range;
  if (found?.header.epoch !== range.epoch) return [];
  const direction = descending ? -1 : 1;
  return found.records
    .filter((record) => record.kind === kind)
    .filter(({ key }) => fromKey === undefined || compareBytes(key, fromKey) * direction > 0)
    .sort((a, b) => compareBytes(a.key, b.key) * direction)
    .slice(0, limit);
}

/** Keys sort by their bytes in UTF-8. */
export function compareBytes(a: string, b: string): number {
  return Buffer.compare(Buffer.from(a), Buffer.from(b));
}
