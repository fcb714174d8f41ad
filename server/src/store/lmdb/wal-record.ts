import { crc32 } from "node:zlib";
import { CoordinationError } from "../../model/coordination-error.js";
import type { RowChange } from "./lmdb-writer.js";

/*
 * One commit in the write-ahead log, whole or not there at all:
 *
 *   CRC-32 of the rest (u32), bytes of its rows (u32), its number (u64), the tree's last transaction before it (u64); for each
 *   row: bytes of the key (u16), bytes of the value (u32, all ones where the row is removed), the key, the value
 *
 * The checksum begins with a number that belongs to the store, so that another store's records are none.
 */

const headBytes = 24;
const rowHeadBytes = 6;
const removed = 0xffff_ffff;

/** A commit as it lies in the log. */
export interface WalRecord {
  /** Counts the commits in the log, from 1. */
  readonly number: bigint;
  /** The last transaction of the tree that it follows. */
  readonly transaction: bigint;
  readonly checksum: number;
  /** Where it begins and ends in its bytes. */
  readonly start: number;
  readonly end: number;
}

/** Bytes that a commit takes in the log. */
export function walRecordBytes(changes: readonly RowChange[]): number {
  let bytes = headBytes;
  for (const { key, value } of changes) bytes += rowHeadBytes + key.byteLength + (value?.byteLength ?? 0);
  return bytes;
}

/** What a record is made of. */
export interface WalCommit extends Pick<WalRecord, "start" | "number" | "transaction"> {
  readonly salt: number;
  readonly changes: readonly RowChange[];
}

/** Writes a commit into bytes from a place on, which has room for it. */
export function writeWalRecord(bytes: Buffer, { start, number, transaction, salt, changes }: WalCommit): WalRecord {
  let at = start + headBytes;
  for (const { key, value } of changes) {
    bytes.writeUInt16LE(key.byteLength, at);
    bytes.writeUInt32LE(value?.byteLength ?? removed, at + 2);
    at += rowHeadBytes;
    bytes.set(key, at);
    at += key.byteLength;
    if (value === undefined) continue;
    bytes.set(value, at);
    at += value.byteLength;
  }
  bytes.writeUInt32LE(at - start - headBytes, start + 4);
  bytes.writeBigUInt64LE(number, start + 8);
  bytes.writeBigUInt64LE(transaction, start + 16);
  const checksum = crc32(bytes.subarray(start + 4, at), salt);
  bytes.writeUInt32LE(checksum, start);
  return { number, transaction, checksum, start, end: at };
}

/** The records that follow each other from the beginning of bytes on; the first that is torn, damaged or older ends them. */
export function readWalRecords(bytes: Buffer, salt: number): readonly WalRecord[] {
  const records: WalRecord[] = [];
  for (let start = 0; start + headBytes <= bytes.length; ) {
    const end = start + headBytes + bytes.readUInt32LE(start + 4);
    if (end === start + headBytes || end > bytes.length) break;
    const checksum = bytes.readUInt32LE(start);
    if (checksum !== crc32(bytes.subarray(start + 4, end), salt)) break;
    const number = bytes.readBigUInt64LE(start + 8);
    const last = records.at(-1);
    if (last !== undefined && number !== last.number + 1n) break;
    records.push({ number, transaction: bytes.readBigUInt64LE(start + 16), checksum, start, end });
    start = end;
  }
  return records;
}

/** The rows of a stretch of whole records, in their order; they share its bytes. */
export function* rowsOfWal(bytes: Buffer, stretch: Pick<WalRecord, "start" | "end">): Iterable<RowChange> {
  for (let start = stretch.start; start < stretch.end; ) {
    const end = start + headBytes + bytes.readUInt32LE(start + 4);
    for (let at = start + headBytes; at < end; ) {
      const keyAt = at + rowHeadBytes;
      const valueAt = keyAt + bytes.readUInt16LE(at);
      const length = bytes.readUInt32LE(at + 2);
      const key = bytes.subarray(keyAt, valueAt);
      at = length === removed ? valueAt : valueAt + length;
      if (at > end)
        throw new CoordinationError("STORE_CORRUPT", "a row of the write-ahead log is longer than its record");
      yield { key, value: length === removed ? undefined : bytes.subarray(valueAt, at) };
    }
    start = end;
  }
}
