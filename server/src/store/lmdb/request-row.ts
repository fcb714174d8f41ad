import { corruptRow, sealedRow, sequenceFromLogKey, unseal } from "./lmdb-records.js";

/*
 * The hashes of the requests of entries that follow each other, beside the log: a log's requests are in memory again when some
 * hundreds of these were read, where reading the log itself would take seconds. The key's sequence is the last entry's.
 *
 *   for each entry the hash of its request (u32, 0 for none)
 */

const hashBytes = 4;

/** Hashes in one row: so many nearly fill four pages of the file. */
export const requestsPerRow = 4_080;

/** Hashes of the requests of entries that follow each other. */
export interface RequestRun {
  readonly firstSequence: bigint;
  readonly lastSequence: bigint;
  readonly hashes: ArrayLike<number>;
}

/** A row of hashes, read from the store; good until the next row is read. */
export class RequestRow {
  readonly firstSequence: bigint;
  readonly lastSequence: bigint;
  readonly count: number;
  readonly #value: Buffer;

  /** Throws STORE_CORRUPT. */
  constructor(key: Uint8Array, sealed: Uint8Array) {
    this.#value = unseal(key, sealed);
    this.lastSequence = sequenceFromLogKey(key);
    this.count = this.#value.length / hashBytes;
    this.firstSequence = this.lastSequence - BigInt(Math.ceil(this.count)) + 1n;
    const isSound = this.count > 0 && Number.isInteger(this.count) && this.firstSequence >= 1n;
    if (!isSound) throw corruptRow(key, "it has no requests");
  }

  hashAt(index: number): number {
    return this.#value.readUInt32BE(index * hashBytes);
  }

  /** The hashes through a sequence, to be written again. */
  through(sequence: bigint): RequestRun {
    const { firstSequence } = this;
    const count = Number(sequence - firstSequence + 1n);
    const hashes = Array.from({ length: count }, (_, index) => this.hashAt(index));
    return { firstSequence, lastSequence: sequence, hashes };
  }
}

/** The row of hashes. */
export function sealRequests(key: Uint8Array, { hashes }: RequestRun): Buffer {
  return sealedRow(key, hashes.length * hashBytes, (row) => {
    for (let index = 0; index < hashes.length; index++) row.writeUInt32BE(hashes[index] ?? 0, index * hashBytes);
  });
}
