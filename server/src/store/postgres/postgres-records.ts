import { crc32 } from "node:zlib";
import { CoordinationError } from "../../model/coordination-error.js";
import { LogEntry } from "../../model/log-entry.js";
import { headerFromJson, headerToJson } from "../header-json.js";
import { requestDigest } from "../request-digest.js";
import type { CoordinationHeader, JournalChange, JournalKind, JournalRecord } from "../signal-store.js";

/** A row of `coordinations`, as it is read. */
export interface HeaderRow {
  readonly id: string;
  readonly epoch: string;
  readonly commits: string;
  readonly header: string;
  readonly checksum: string;
}

/** A row of `signals`, as it is read. */
export interface SignalRow {
  readonly sequence: string;
  readonly request_key: Buffer | null;
  /** What older servers compared repetitions by. */
  readonly content_hash: Buffer | null;
  readonly bytes: Buffer;
  readonly checksum: string;
}

/** A row of `journal`, as it is read. */
export interface JournalRow {
  readonly kind: number;
  readonly key: Buffer;
  readonly value: Buffer | null;
  readonly checksum: string;
}

/** How many rows there are, and how many there should be. */
export interface CountsRow {
  readonly found: string;
  readonly expected: string;
}

const kindNumbers: Readonly<Record<JournalKind, number>> = {
  // The resident kinds come first: an index holds just them. Those that came later count downwards.
  deadLetter: -3,
  delivery: -2,
  subscription: -1,
  wait: 0,
  agent: 1,
  dependency: 2,
  metrics: 3,
  baseAgent: 4,
  baseDependency: 5,
  snapshot: 6,
  audit: 7,
  endedWait: 8,
  heldSignal: 9,
};
const kindByNumber = new Map(Object.entries(kindNumbers).map(([kind, number]) => [number, kind as JournalKind]));
const nothing = new Uint8Array();

export function kindNumber(kind: JournalKind): number {
  return kindNumbers[kind];
}

export function headerText(header: CoordinationHeader): string {
  return JSON.stringify(headerToJson(header));
}

export function headerChecksum(coordinationId: string, text: string): bigint {
  return checksumOf(Buffer.from(coordinationId), Buffer.from(text));
}

/** An entry as the statements take it. */
export interface EntryValues {
  readonly sequence: bigint;
  readonly requestKey: Buffer | undefined;
  readonly bytes: Uint8Array;
  readonly checksum: bigint;
}

export function entryValues(coordinationId: string, { sequence, requestKey, bytes }: LogEntry): EntryValues {
  const digest = requestKey === undefined ? undefined : requestDigest(requestKey);
  const checksum = checksumOf(entryPlace(coordinationId, sequence), digest ?? nothing, bytes);
  return { sequence, requestKey: digest, bytes, checksum };
}

export function journalChecksum(coordinationId: string, { kind, key, value }: JournalChange): bigint {
  return checksumOf(Buffer.from(`${coordinationId} ${kindNumber(kind)} ${key}`), value ?? nothing);
}

/** The header in a row. Throws STORE_CORRUPT when the row is not as it was written. */
export function headerFromRow(row: HeaderRow): CoordinationHeader {
  if (BigInt(row.checksum) !== headerChecksum(row.id, row.header)) throw corrupt(`header of "${row.id}"`);
  const header = headerFromJson(JSON.parse(row.header));
  if (header.epoch !== row.epoch || header.commits !== BigInt(row.commits)) {
    throw corrupt(`header of "${row.id}"`, "it is of another version than its row");
  }
  return header;
}

/** Throws STORE_CORRUPT when a row has vanished, or one is there that nobody wrote. */
export function checkCount({ found, expected }: CountsRow, coordinationId: string, rows: string): void {
  if (found === expected) return;
  throw corrupt(`coordination "${coordinationId}"`, `it has ${found} ${rows}, it should have ${expected}`);
}

/** The entry in a row. Throws STORE_CORRUPT when the row is not as it was written. */
export function entryFromRow(coordinationId: string, row: SignalRow): LogEntry {
  const { request_key: key, content_hash: contentHash, bytes } = row;
  const sequence = BigInt(row.sequence);
  const place = entryPlace(coordinationId, sequence);
  if (BigInt(row.checksum) !== checksumOf(place, key ?? nothing, contentHash ?? nothing, bytes)) {
    throw corrupt(`signal ${sequence} of "${coordinationId}"`);
  }
  return new LogEntry({ sequence, bytes });
}

function entryPlace(coordinationId: string, sequence: bigint): Buffer {
  return Buffer.from(`${coordinationId} ${sequence}`);
}

/** The change that a row stands for. Throws STORE_CORRUPT when the row is not as it was written. */
export function changeFromRow(coordinationId: string, row: JournalRow): JournalChange {
  const kind = kindByNumber.get(row.kind);
  const key = row.key.toString();
  if (kind === undefined) throw corrupt(`journal record "${key}" of "${coordinationId}"`, "it has an unknown kind");
  const change = { kind, key, value: row.value ?? undefined };
  if (BigInt(row.checksum) !== journalChecksum(coordinationId, change)) {
    throw corrupt(`journal record ${kind} "${key}" of "${coordinationId}"`);
  }
  return change;
}

/** The record in a row that has a value. Throws STORE_CORRUPT when the row is not as it was written. */
export function recordFromRow(coordinationId: string, row: JournalRow): JournalRecord {
  const { kind, key, value } = changeFromRow(coordinationId, row);
  return { kind, key, value: value ?? nothing };
}

function checksumOf(...parts: readonly Uint8Array[]): bigint {
  let checksum = 0;
  for (const part of parts) checksum = crc32(part, checksum);
  return BigInt(checksum);
}

function corrupt(what: string, why = "its checksum does not fit"): CoordinationError {
  return new CoordinationError("STORE_CORRUPT", `${what} is damaged in the database: ${why}`);
}
