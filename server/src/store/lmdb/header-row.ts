import type { CoordinationHeader, RemovedRange } from "../signal-store.js";
import { sealedRow, unseal } from "./lmdb-records.js";

/*
 * The header of a coordination as bytes: it is written with every commit, and as JSON it took longer than all else of a commit
 * of one signal. Texts and lists have their length before them; numbers that came later stand at the end of their list, and are
 * 0 where it is shorter.
 */

/** A coordination's header and the ordinal of its rows. */
export interface StoredHeader {
  readonly header: CoordinationHeader;
  readonly ordinal: number;
  /** How many journal records of each kind there are, by the kinds' bytes, so that one that vanished is missed. */
  readonly counts: readonly number[];
}

const numberBytes = 8;
const lengthBytes = 2;
const sequenceCount = 5;
const lengthCount = 7;
const rangeNumbers = 3;

/** The row of a header. */
export function sealHeader(key: Uint8Array, { header, counts }: StoredHeader): Buffer {
  const { coordinationId, epoch, closeReason, removedRanges, sentByType } = header;
  const texts = [coordinationId, epoch, closeReason];
  const numbers = numbersOf(header);
  const numberCount = numbers.length + counts.length + sentByType.length + removedRanges.length * rangeNumbers;
  let size = lengthCount * lengthBytes + (sequenceCount + numberCount) * numberBytes;
  for (const text of texts) size += Buffer.byteLength(text);
  return sealedRow(key, size, (row) => new HeaderWriter(row).write(header, numbers, counts));
}

/** The header in a row. Throws STORE_CORRUPT. */
export function unsealHeader(ordinal: number, key: Uint8Array, sealed: Uint8Array): StoredHeader {
  return { ordinal, ...new HeaderReader(unseal(key, sealed)).read() };
}

function numbersOf(header: CoordinationHeader): readonly number[] {
  const { generation, createTimeMs, lastSignalTimeMs, closeTimeMs, endedWaits } = header;
  return [generation, createTimeMs, lastSignalTimeMs, closeTimeMs === undefined ? 0 : 1, closeTimeMs ?? 0, endedWaits];
}

class HeaderWriter {
  readonly #row: Buffer;
  #at = 0;

  constructor(row: Buffer) {
    this.#row = row;
  }

  write(header: CoordinationHeader, numbers: readonly number[], counts: readonly number[]): void {
    for (const text of [header.coordinationId, header.epoch, header.closeReason]) this.#text(text);
    this.#sequence(header.revision);
    this.#sequence(header.commits);
    this.#sequence(header.headSequence);
    this.#sequence(header.oldestSequence);
    this.#sequence(header.trimmedThroughSequence);
    this.#numbers(numbers);
    this.#numbers(header.sentByType);
    this.#numbers(counts);
    this.#length(header.removedRanges.length);
    for (const range of header.removedRanges) this.#range(range);
  }

  #range({ afterSequence, throughSequence, generation }: RemovedRange): void {
    this.#sequence(afterSequence);
    this.#sequence(throughSequence);
    this.#number(generation);
  }

  #text(text: string): void {
    const length = this.#row.write(text, this.#at + lengthBytes);
    this.#length(length);
    this.#at += length;
  }

  #numbers(numbers: readonly number[]): void {
    this.#length(numbers.length);
    for (const number of numbers) this.#number(number);
  }

  #length(length: number): void {
    this.#at = this.#row.writeUInt16BE(length, this.#at);
  }

  #number(number: number): void {
    this.#at = this.#row.writeDoubleBE(number, this.#at);
  }

  #sequence(sequence: bigint): void {
    this.#at = this.#row.writeBigUInt64BE(sequence, this.#at);
  }
}

class HeaderReader {
  readonly #row: Buffer;
  #at = 0;

  constructor(row: Buffer) {
    this.#row = row;
  }

  read(): Omit<StoredHeader, "ordinal"> {
    const [coordinationId, epoch, closeReason] = [this.#text(), this.#text(), this.#text()];
    const [revision, commits, headSequence] = [this.#sequence(), this.#sequence(), this.#sequence()];
    const [oldestSequence, trimmedThroughSequence] = [this.#sequence(), this.#sequence()];
    const [generation = 0, createTimeMs = 0, lastSignalTimeMs = 0, isClosed, closeMs, endedWaits = 0] = this.#numbers();
    const closeTimeMs = isClosed === 1 ? closeMs : undefined;
    const sentByType = this.#numbers();
    const counts = this.#numbers();
    const removedRanges = Array.from({ length: this.#length() }, () => this.#range());
    const places = { headSequence, oldestSequence, trimmedThroughSequence, removedRanges };
    const times = { createTimeMs, lastSignalTimeMs, closeTimeMs };
    const versions = { epoch, revision, commits, generation };
    return {
      header: { coordinationId, ...versions, ...places, ...times, closeReason, sentByType, endedWaits },
      counts,
    };
  }

  #range(): RemovedRange {
    const [afterSequence, throughSequence] = [this.#sequence(), this.#sequence()];
    return { afterSequence, throughSequence, generation: this.#number() };
  }

  #text(): string {
    const start = this.#at + lengthBytes;
    const length = this.#length();
    this.#at += length;
    return this.#row.toString("utf8", start, this.#at);
  }

  #numbers(): number[] {
    return Array.from({ length: this.#length() }, () => this.#number());
  }

  #length(): number {
    const length = this.#row.readUInt16BE(this.#at);
    this.#at += lengthBytes;
    return length;
  }

  #number(): number {
    const number = this.#row.readDoubleBE(this.#at);
    this.#at += numberBytes;
    return number;
  }

  #sequence(): bigint {
    const sequence = this.#row.readBigUInt64BE(this.#at);
    this.#at += numberBytes;
    return sequence;
  }
}
