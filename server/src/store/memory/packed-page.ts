import { LogEntry } from "../../model/log-entry.js";

/*
 * Entries that follow each other, in one piece of memory outside of the heap: to the garbage collector a page is the same few
 * objects however many entries it holds.
 *
 *   the bytes of the entries, from the front; where each of them ends (u32), from the back
 *
 * Entries that are read are views of the page, so that nothing of it is ever written twice.
 */

const endBytes = Uint32Array.BYTES_PER_ELEMENT;

/** Consecutive entries of a log. */
export class PackedPage {
  readonly firstSequence: bigint;
  #lastSequence: bigint;
  readonly #memory: Buffer;
  readonly #ends: Uint32Array;
  #count = 0;
  #isCut = false;

  /** `sizeBytes` is room for entries and for where they end; a little more is taken. */
  constructor(firstSequence: bigint, sizeBytes: number) {
    this.firstSequence = firstSequence;
    this.#lastSequence = firstSequence - 1n;
    const slots = Math.ceil(sizeBytes / endBytes);
    // Of its own: a slice of Node's pool would hold what others have there.
    this.#memory = Buffer.allocUnsafeSlow(slots * endBytes);
    this.#ends = new Uint32Array(this.#memory.buffer, this.#memory.byteOffset, slots);
  }

  /** The size of the least page that holds an entry. */
  static bytesFor({ bytes }: LogEntry): number {
    return bytes.length + endBytes;
  }

  /** The one before the first while there is none. */
  get lastSequence(): bigint {
    return this.#lastSequence;
  }

  /** What the entries take. */
  get byteLength(): number {
    return this.#count === 0 ? 0 : this.#endOf(this.#count - 1);
  }

  /** Copies an entry behind the last one. Answers false where it does not follow that one, or there is no room. */
  add({ sequence, bytes }: LogEntry): boolean {
    const start = this.byteLength;
    const end = start + bytes.length;
    const isFull = end + (this.#count + 1) * endBytes > this.#memory.length;
    if (this.#isCut || isFull || sequence !== this.#lastSequence + 1n) return false;
    this.#memory.set(bytes, start);
    this.#ends[this.#ends.length - 1 - this.#count] = end;
    this.#count += 1;
    this.#lastSequence = sequence;
    return true;
  }

  /** Forgets the entries after one that is here. Readers may hold them, so that nothing is added any more. */
  removeAfter(sequence: bigint): void {
    this.#count = Number(sequence - this.firstSequence) + 1;
    this.#lastSequence = sequence;
    this.#isCut = true;
  }

  /** An entry that is here. */
  entryAt(sequence: bigint): LogEntry {
    const index = Number(sequence - this.firstSequence);
    const start = index === 0 ? 0 : this.#endOf(index - 1);
    return new LogEntry({ sequence, bytes: this.#memory.subarray(start, this.#endOf(index)) });
  }

  #endOf(index: number): number {
    return this.#ends[this.#ends.length - 1 - index] ?? 0;
  }
}
