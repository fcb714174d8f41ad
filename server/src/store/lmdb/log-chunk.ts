import { LogEntry } from "../../model/log-entry.js";
import { type HashSeed, requestHash } from "../request-hash.js";
import { corruptRow, sealedRow, sequenceFromLogKey, unseal } from "./lmdb-records.js";

/*
 * Entries of one commit, in one row: a row of its own for each of them took several times as long. The key's sequence is the
 * last one's, so that the first row at or after a sequence is the one that holds it, and what is trimmed is a range of keys.
 *
 *   count (u32), for each entry: where it ends among the bytes (u32), the hash of its request (u32, 0 for none); the bytes
 */

// Entries and bytes in one row: a reader of one entry reads its row, and a long value takes pages that lie together.
const maxChunkEntries = 256;
const maxChunkBytes = 64 * 1024;
const countBytes = 4;
const placeBytes = 8;

/** Entries that follow each other and go into one row, with the hashes of their requests. */
export interface ChunkEntries {
  readonly firstSequence: bigint;
  readonly lastSequence: bigint;
  readonly entries: readonly LogEntry[];
  readonly hashes: readonly number[];
}

/** A row of entries, read from the store. Its bytes are its own. */
export class LogChunk {
  readonly firstSequence: bigint;
  readonly lastSequence: bigint;
  readonly count: number;
  readonly #value: Buffer;

  private constructor(lastSequence: bigint, value: Buffer) {
    this.lastSequence = lastSequence;
    this.count = value.readUInt32BE();
    this.firstSequence = lastSequence - BigInt(this.count) + 1n;
    this.#value = value;
  }

  /** Throws STORE_CORRUPT. */
  static open(key: Uint8Array, sealed: Uint8Array): LogChunk {
    // The driver may reuse its buffer, and entries outlive this read.
    return LogChunk.look(key, Buffer.from(sealed));
  }

  /** A row that is not used beyond the read of the next one. Throws STORE_CORRUPT. */
  static look(key: Uint8Array, sealed: Uint8Array): LogChunk {
    const chunk = new LogChunk(sequenceFromLogKey(key), unseal(key, sealed));
    if (chunk.count === 0 || chunk.firstSequence < 1n) throw corruptRow(key, "it has no entries");
    return chunk;
  }

  /** The hash of the request that made an entry; 0 for none. */
  hashAt(index: number): number {
    return this.#value.readUInt32BE(countBytes + index * placeBytes + 4);
  }

  entryAt(index: number): LogEntry {
    const bytesAt = countBytes + this.count * placeBytes;
    const start = index === 0 ? 0 : this.#endOf(index - 1);
    const bytes = this.#value.subarray(bytesAt + start, bytesAt + this.#endOf(index));
    return new LogEntry({ sequence: this.firstSequence + BigInt(index), bytes });
  }

  /** The entries through a sequence, to be written again. */
  through(sequence: bigint): ChunkEntries {
    const indexes = Array.from({ length: Number(sequence - this.firstSequence + 1n) }, (_, index) => index);
    return {
      firstSequence: this.firstSequence,
      lastSequence: sequence,
      entries: indexes.map((index) => this.entryAt(index)),
      hashes: indexes.map((index) => this.hashAt(index)),
    };
  }

  #endOf(index: number): number {
    return this.#value.readUInt32BE(countBytes + index * placeBytes);
  }
}

/** Cuts entries into rows. */
export function* chunksOf(seed: HashSeed, entries: readonly LogEntry[]): Iterable<ChunkEntries> {
  let chunk: LogEntry[] = [];
  let bytes = 0;
  for (const entry of entries) {
    const last = chunk.at(-1);
    const isFull = chunk.length === maxChunkEntries || bytes + entry.bytes.length > maxChunkBytes;
    if (last !== undefined && (isFull || entry.sequence !== last.sequence + 1n)) {
      yield hashed(seed, chunk, last);
      chunk = [];
      bytes = 0;
    }
    chunk.push(entry);
    bytes += entry.bytes.length;
  }
  const last = chunk.at(-1);
  if (last !== undefined) yield hashed(seed, chunk, last);
}

function hashed(seed: HashSeed, entries: readonly LogEntry[], last: LogEntry): ChunkEntries {
  const hashes = entries.map(({ requestKey }) => (requestKey === undefined ? 0 : requestHash(seed, requestKey)));
  const firstSequence = last.sequence - BigInt(entries.length - 1);
  return { firstSequence, lastSequence: last.sequence, entries, hashes };
}

/** The row of entries that follow each other. */
export function sealChunk(key: Uint8Array, { entries, hashes }: ChunkEntries): Buffer {
  let size = countBytes + entries.length * placeBytes;
  const bytesAt = size;
  for (const { bytes } of entries) size += bytes.length;
  return sealedRow(key, size, (row) => {
    row.writeUInt32BE(entries.length);
    let at = bytesAt;
    for (const [index, { bytes }] of entries.entries()) {
      row.set(bytes, at);
      at += bytes.length;
      row.writeUInt32BE(at - bytesAt, countBytes + index * placeBytes);
      row.writeUInt32BE(hashes[index] ?? 0, countBytes + index * placeBytes + 4);
    }
  });
}
