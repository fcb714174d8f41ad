import { closeSync, existsSync, openSync, readSync } from "node:fs";
import { join } from "node:path";
import { crc32 } from "node:zlib";
import { CoordinationError } from "../../model/coordination-error.js";
import { appliedKey, seedKey } from "./commit-rows.js";
import { compareWithSeal, readSeal, type SealedCommit } from "./commit-seal.js";
import { sealNumber, unseal } from "./lmdb-records.js";
import type { RowChange } from "./lmdb-writer.js";
import type { LmdbDatabase } from "./open-lmdb.js";
import { readWalRecords, rowsOfWal, type WalRecord } from "./wal-record.js";

/** The write-ahead log's name in a store's directory. */
export const walFileName = "signals.wal";

/** Bytes of one of the two regions of the log. */
export const regionBytes = 2_097_152;

/** A server on the store may have written between the reads of the two regions. */
const maxReads = 3;

/** Commits that follow each other in one region. */
export interface WalStretch {
  readonly bytes: Buffer;
  readonly start: number;
  readonly end: number;
  /** The last one. */
  readonly last: SealedCommit;
}

/** A stretch that was read. */
interface ReadStretch extends WalStretch {
  readonly last: WalRecord;
}

/** What tells the records of a store's log from those of others. */
export function saltOf(db: LmdbDatabase): number {
  return crc32(unseal(seedKey, db.getBinary(seedKey) ?? Buffer.of()));
}

/** The rows of a stretch of the log, and that they are in the tree. */
export function* treeRows(stretch: WalStretch): Iterable<RowChange> {
  yield* rowsOfWal(stretch.bytes, stretch);
  yield { key: appliedKey, value: sealNumber(appliedKey, stretch.last.number) };
}

/** Cuts the bytes of a log into its regions. */
export function regionsOf(bytes: Buffer): readonly [Buffer, Buffer] {
  return [bytes.subarray(0, regionBytes), bytes.subarray(regionBytes)];
}

/**
 * The commits in a directory's log that are not in its tree, in their order; none where there is no log. Both may be those of a
 * server that runs. Throws STORE_CORRUPT where something is missing or damaged that was acknowledged.
 */
export function readWal(db: LmdbDatabase, directory: string): readonly WalStretch[] {
  for (let read = 1; ; read++) {
    // In this order: what the note tells of is in the log, or in the tree.
    const notes = readSeal(directory, "log");
    const regions = readRegions(join(directory, walFileName));
    // A store of layout 2 has neither, nor what its records would be told by.
    if (notes.length === 0 && regions.length === 0) return [];
    db.resetReadTxn();
    const applied = appliedIn(db);
    const { stretches, hasGap } = stretchesAfter(applied, regions, saltOf(db));
    const last = stretches.at(-1)?.last ?? { number: applied, checksum: undefined };
    if (hasGap && read < maxReads) continue;
    for (const note of notes) compareWithSeal(note, last, "log");
    if (hasGap) throw unfit(`what follows commit ${last.number} is missing`);
    const transaction = lastTransactionIn(db);
    const newest = stretches.at(-1)?.last.transaction ?? 0n;
    if (newest > transaction) throw unfit(`it follows transaction ${newest} of the file, whose last is ${transaction}`);
    return stretches;
  }
}

/** Number of the last commit of the log that is in the tree. */
export function appliedIn(db: LmdbDatabase): bigint {
  const value = db.getBinary(appliedKey);
  return value === undefined ? 0n : unseal(appliedKey, value).readBigUInt64BE();
}

function lastTransactionIn(db: LmdbDatabase): bigint {
  const { lastTxnId } = db.getStats() as { readonly lastTxnId: number };
  return BigInt(lastTxnId);
}

function unfit(why: string): CoordinationError {
  return new CoordinationError(
    "STORE_CORRUPT",
    `the store's write-ahead log is damaged, or of a newer file: ${why}; ` +
      `if an older file was put there on purpose, remove ${walFileName} beside it`,
  );
}

function readRegions(path: string): readonly Buffer[] {
  if (!existsSync(path)) return [];
  const descriptor = openSync(path, "r");
  try {
    const bytes = Buffer.alloc(2 * regionBytes);
    readSync(descriptor, bytes, 0, bytes.length, 0);
    return regionsOf(bytes);
  } finally {
    closeSync(descriptor);
  }
}

function stretchesAfter(applied: bigint, regions: readonly Buffer[], salt: number) {
  const runs = regions.map((bytes) => {
    return { bytes, records: readWalRecords(bytes, salt).filter(({ number }) => number > applied) };
  });
  runs.sort((a, b) => Number((a.records[0]?.number ?? 0n) - (b.records[0]?.number ?? 0n)));
  const stretches: ReadStretch[] = [];
  let next = applied + 1n;
  for (const { bytes, records } of runs) {
    const [first] = records;
    const last = records.at(-1);
    if (first === undefined || last === undefined) continue;
    if (first.number !== next) return { stretches, hasGap: true };
    next = last.number + 1n;
    stretches.push({ bytes, start: first.start, end: last.end, last });
  }
  return { stretches, hasGap: false };
}
