import type { RequestMemory } from "./request-memory.js";

const firstCapacityBytes = 256;

/**
 * Bytes that arrive in pieces, copied together as they come: doubling keeps the cost linear and the memory below twice
 * what has arrived, however small the pieces are and whatever size was announced.
 */
export class GrowingBuffer {
  readonly #memory: RequestMemory;
  #bytes = new Uint8Array(0);
  #length = 0;

  constructor(memory: RequestMemory) {
    this.#memory = memory;
  }

  /** Bytes collected so far. */
  get length(): number {
    return this.#length;
  }

  /** The byte at `index`, 0 when there is none. */
  at(index: number): number {
    return index < this.#length ? (this.#bytes[index] ?? 0) : 0;
  }

  /** Adds a copy of `piece`. Returns false, and adds nothing, when the memory for it is not to be had. */
  append(piece: Uint8Array): boolean {
    const needed = this.#length + piece.byteLength;
    if (needed > this.#bytes.byteLength && !this.#grow(needed)) return false;
    this.#bytes.set(piece, this.#length);
    this.#length = needed;
    return true;
  }

  /** Returns what was collected and starts again with nothing. */
  take(): Uint8Array {
    const taken = this.#bytes.subarray(0, this.#length);
    this.clear();
    return taken;
  }

  /** Forgets what was collected. */
  clear(): void {
    this.#memory.give(this.#bytes.byteLength);
    this.#bytes = new Uint8Array(0);
    this.#length = 0;
  }

  #grow(needed: number): boolean {
    const capacity = Math.max(firstCapacityBytes, needed, 2 * this.#bytes.byteLength);
    if (!this.#memory.take(capacity - this.#bytes.byteLength)) return false;
    const grown = new Uint8Array(capacity);
    grown.set(this.#bytes.subarray(0, this.#length));
    this.#bytes = grown;
    return true;
  }
}
