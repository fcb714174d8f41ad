import { mkdir } from "node:fs/promises";
import { join } from "node:path";
import type { LogEntry } from "../../server/src/model/log-entry.js";
import { headerToJson } from "../../server/src/store/header-json.js";
import { countKey, ordinalKey, schemaKey } from "../../server/src/store/lmdb/commit-rows.js";
import { createLmdb } from "../../server/src/store/lmdb/create-lmdb.js";
import {
  coordinationKey,
  journalKey,
  logKey,
  ordinalPrefix,
  seal,
  sealOrdinal,
} from "../../server/src/store/lmdb/lmdb-records.js";
import { LmdbWriter, type RowChange } from "../../server/src/store/lmdb/lmdb-writer.js";
import { dataFileName, openLmdb } from "../../server/src/store/lmdb/open-lmdb.js";
import { requestDigest } from "../../server/src/store/request-digest.js";
import type { CoordinationHeader, JournalRecord } from "../../server/src/store/signal-store.js";

const requestSpace = 4;
const contentHash = Buffer.alloc(16, 7);

/** What a coordination of such a store holds. */
export interface OlderCoordination {
  readonly header: CoordinationHeader;
  readonly entries: readonly LogEntry[];
  readonly records: readonly JournalRecord[];
}

/** Writes a store as servers did whose layout was 2. */
export async function writeOlderStore(
  directory: string,
  coordinations: readonly OlderCoordination[],
  more: readonly RowChange[] = [],
): Promise<void> {
  await mkdir(directory, { recursive: true });
  await createLmdb(directory);
  const path = join(directory, dataFileName);
  const writer = new LmdbWriter(openLmdb(path), path);
  await writer.commit([
    { key: schemaKey, value: sealOrdinal(schemaKey, 2) },
    { key: ordinalKey, value: sealOrdinal(ordinalKey, coordinations.length + 1) },
    { key: countKey, value: sealOrdinal(countKey, coordinations.length) },
    ...coordinations.flatMap((coordination, index) => rowsOf(index + 1, coordination)),
    ...more,
  ]);
  await writer.close();
}

function rowsOf(ordinal: number, { header, entries, records }: OlderCoordination): readonly RowChange[] {
  const row = (key: Buffer, ...parts: readonly Uint8Array[]) => ({ key, value: seal(key, Buffer.concat(parts)) });
  const rows: RowChange[] = [];
  for (const { sequence, bytes, requestKey } of entries) {
    if (requestKey === undefined) {
      rows.push(row(logKey(ordinal, sequence), Buffer.of(0), bytes));
      continue;
    }
    const digest = requestDigest(requestKey);
    rows.push(row(logKey(ordinal, sequence), Buffer.of(1), digest, contentHash, bytes));
    const made = Buffer.alloc(8);
    made.writeBigUInt64BE(sequence);
    rows.push(row(Buffer.concat([ordinalPrefix(requestSpace, ordinal), digest]), made));
  }
  for (const { kind, key, value } of records) rows.push(row(journalKey(ordinal, kind, key), value));
  const counts = [entries.filter(({ requestKey }) => requestKey !== undefined).length, records.length];
  const json = JSON.stringify({ ordinal, counts, header: headerToJson(header) });
  rows.push(row(coordinationKey(header.coordinationId), Buffer.from(json)));
  return rows;
}
