import { crc32 } from "node:zlib";
import { CoordinationError } from "../../model/coordination-error.js";
import type { JournalKind } from "../signal-store.js";

/*
 * The layout. Keys are binary and sort as bytes; a coordination's rows begin with its ordinal, a number that one incarnation
 * gets and no other ever will, so that rows of a removed one can be swept later without anybody meeting them.
 *
 *   00 "schema"                      version of this layout
 *   00 "ordinal"                     the next ordinal, u32
 *   00 "count"                       how many coordinations there are, u32
 *   00 "seed"                        what keys the hashes of requests
 *   00 "applied"                     number of the last commit that came from the write-ahead log, u64; none before the first
 *   01 coordination_id               ordinal, u32
 *   02 ordinal kind key              journal record
 *   03 ordinal sequence(u64)         log entries, through the one with this sequence
 *   03 ordinal ff ff ff ff ff ff ff ff   header: beside the newest entries, so that a commit mostly writes one page for both
 *   05 ordinal                       rows of this ordinal are garbage
 *   06 ordinal sequence(u64)         hashes of the requests of log entries, through the one with this sequence
 *
 * Every value begins with a CRC-32 over its key and the rest, so that a damaged row and a misplaced one are both found.
 */

/** Bytes of a store's rows, by what they hold. 04 had a row for each request until layout 3. */
export const space = { meta: 0, coordination: 1, journal: 2, log: 3, garbage: 5, requests: 6 } as const;

/** The layout this code reads and writes. */
export const schemaVersion = 5;

/**
 * Layouts that are read as this one. 4 had no write-ahead log, and 3 no rows of requests (06), neither of which is missed: a
 * server that does not know them would lose what they hold.
 */
export const readableVersions: readonly number[] = [3, 4, schemaVersion];

const kindBytes: Readonly<Record<JournalKind, number>> = {
  // The resident kinds are next to each other, those that came later in a stretch of their own.
  agent: 1,
  dependency: 2,
  metrics: 3,
  baseAgent: 4,
  baseDependency: 5,
  snapshot: 6,
  audit: 7,
  // Only for stores that several servers share: not one of those that are loaded.
  wait: 8,
  endedWait: 9,
  subscription: 10,
  delivery: 11,
  deadLetter: 12,
  heldSignal: 13,
};
/** The counts of a coordination that has nothing yet. */
export const noCounts: readonly number[] = [0, ...Object.keys(kindBytes).map(() => 0)];

/** How many records of a kind are counted. */
export function recordCount(counts: readonly number[], kind: JournalKind): number {
  return counts[kindBytes[kind]] ?? 0;
}

/** Counts records of a kind more or less. */
export function countRecords(counts: number[], kind: JournalKind, difference: number): void {
  counts[kindBytes[kind]] = recordCount(counts, kind) + difference;
}

/** The kinds of journal records. */
export const journalKinds = Object.keys(kindBytes) as readonly JournalKind[];
const kindByByte = new Map(Object.entries(kindBytes).map(([kind, byte]) => [byte, kind as JournalKind]));
const checksumBytes = 4;
const sequenceOffset = 5;
const headerSequence = 0xffff_ffff_ffff_ffffn;

export function metaKey(name: string): Buffer {
  return Buffer.concat([Buffer.of(space.meta), Buffer.from(name)]);
}

/** Names the ordinal of a coordination. */
export function coordinationKey(coordinationId: string): Buffer {
  return Buffer.concat([Buffer.of(space.coordination), Buffer.from(coordinationId)]);
}

/** The first bytes of every row of an ordinal in a space. */
export function ordinalPrefix(inSpace: number, ordinal: number): Buffer {
  const key = Buffer.allocUnsafe(5);
  key[0] = inSpace;
  key.writeUInt32BE(ordinal, 1);
  return key;
}

/** The first key after all that begin with a prefix; prefixes end in a byte or an ordinal, never in 255s only. */
export function prefixEnd(prefix: Buffer): Buffer {
  const end = Buffer.from(prefix);
  for (let index = end.length - 1; index >= 0; index--) {
    const byte = end[index] ?? 0;
    if (byte < 0xff) {
      end[index] = byte + 1;
      return end.subarray(0, index + 1);
    }
  }
  return end;
}

/** A stretch of rows: from a key to before another. */
export interface RowBounds {
  readonly start: Buffer;
  readonly end: Buffer;
}

/** Where the records of one of an ordinal's kinds begin and end. */
export function journalBounds(ordinal: number, kind: JournalKind): RowBounds {
  return stretchOfKinds(ordinal, kind, kind);
}

/** The stretches that hold an ordinal's records of resident kinds. */
export function residentBounds(ordinal: number): readonly RowBounds[] {
  return [stretchOfKinds(ordinal, "agent", "metrics"), stretchOfKinds(ordinal, "subscription", "deadLetter")];
}

function stretchOfKinds(ordinal: number, first: JournalKind, last: JournalKind): RowBounds {
  const prefix = ordinalPrefix(space.journal, ordinal);
  return {
    start: Buffer.concat([prefix, Buffer.of(kindBytes[first])]),
    end: Buffer.concat([prefix, Buffer.of(kindBytes[last] + 1)]),
  };
}

export function journalKey(ordinal: number, kind: JournalKind, key: string): Buffer {
  return Buffer.concat([ordinalPrefix(space.journal, ordinal), Buffer.of(kindBytes[kind]), Buffer.from(key)]);
}

export function journalNameFromKey(key: Uint8Array): { readonly kind: JournalKind; readonly key: string } {
  const kind = kindByByte.get(key[5] ?? 0);
  if (kind === undefined) throw corruptRow(key, "it has an unknown kind");
  return { kind, key: Buffer.from(key.subarray(6)).toString() };
}

export function logKey(ordinal: number, sequence: bigint): Buffer {
  return sequencedKey(space.log, ordinal, sequence);
}

/** Names the row of requests whose last entry has this sequence. */
export function requestsKey(ordinal: number, sequence: bigint): Buffer {
  return sequencedKey(space.requests, ordinal, sequence);
}

/** Where the rows of requests begin and end that have entries after a sequence. */
export function requestsBounds(ordinal: number, afterSequence: bigint): RowBounds {
  return { start: requestsKey(ordinal, afterSequence + 1n), end: prefixEnd(ordinalPrefix(space.requests, ordinal)) };
}

function sequencedKey(inSpace: number, ordinal: number, sequence: bigint): Buffer {
  const key = Buffer.allocUnsafe(sequenceOffset + 8);
  key[0] = inSpace;
  key.writeUInt32BE(ordinal, 1);
  key.writeBigUInt64BE(sequence, sequenceOffset);
  return key;
}

/** Behind all entries of a log, however many will come. */
export function headerKey(ordinal: number): Buffer {
  return logKey(ordinal, headerSequence);
}

export function isHeaderKey(key: Uint8Array): boolean {
  return key[0] === space.log && sequenceFromLogKey(key) === headerSequence;
}

/** The sequence in the key of a row of a log or of requests. */
export function sequenceFromLogKey(key: Uint8Array): bigint {
  return asBuffer(key).readBigUInt64BE(sequenceOffset);
}

/** A value of so many bytes as stored: its checksum, then what `write` makes of them. */
export function sealedRow(key: Uint8Array, size: number, write: (value: Buffer) => void): Buffer {
  const sealed = Buffer.allocUnsafe(checksumBytes + size);
  const value = sealed.subarray(checksumBytes);
  write(value);
  sealed.writeUInt32BE(crc32(value, crc32(key)));
  return sealed;
}

/** A value as stored. */
export function seal(key: Uint8Array, value: Uint8Array): Buffer {
  return sealedRow(key, value.length, (row) => row.set(value));
}

/** The bytes of a stored value. Throws STORE_CORRUPT when the checksum does not fit. */
export function unseal(key: Uint8Array, sealed: Uint8Array): Buffer {
  const stored = asBuffer(sealed);
  if (stored.length < checksumBytes) throw corruptRow(key, "it is too short");
  const value = stored.subarray(checksumBytes);
  if (stored.readUInt32BE(0) !== crc32(value, crc32(key))) throw corruptRow(key, "its checksum does not fit");
  return value;
}

/** A key as text, for a map. */
export function textOfKey(key: Uint8Array): string {
  return asBuffer(key).toString("latin1");
}

/** The ordinal whose row this is; every space but those of meta and of names has one. */
export function ordinalFromKey(key: Uint8Array): number {
  return asBuffer(key).readUInt32BE(1);
}

export function sealOrdinal(key: Uint8Array, ordinal: number): Buffer {
  return sealedRow(key, 4, (row) => row.writeUInt32BE(ordinal));
}

export function sealNumber(key: Uint8Array, number: bigint): Buffer {
  return sealedRow(key, 8, (row) => row.writeBigUInt64BE(number));
}

/** The driver's bytes are mostly a Buffer already, and making another one takes longer than what is read from it. */
function asBuffer(bytes: Uint8Array): Buffer {
  return Buffer.isBuffer(bytes) ? bytes : Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}

/** Says what is wrong with a row. */
export function corruptRow(key: Uint8Array, why: string): CoordinationError {
  const row = Buffer.from(key).toString("hex");
  return new CoordinationError("STORE_CORRUPT", `row ${row} of the store is damaged: ${why}`);
}
