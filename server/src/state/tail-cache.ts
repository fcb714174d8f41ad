import type { LogEntry } from "../model/log-entry.js";

/** How much of a log's end stays in memory. */
export interface TailCacheLimits {
  readonly maxEntries: number;
  readonly maxBytes: number;
}

/**
 * The end of a log in memory, so that readers near the head never touch the store. It holds every entry after its floor.
 * Adding is amortised constant: entries leave from the front by an offset, and the array is compacted when half of it is gone.
 */
export class TailCache {
  readonly #limits: TailCacheLimits;
  #entries: LogEntry[] = [];
  #first = 0;
  #bytes = 0;
  #floor: bigint;

  constructor(limits: TailCacheLimits, headSequence: bigint) {
    this.#limits = limits;
    this.#floor = headSequence;
  }

  /** Every entry with a higher sequence is here. */
  get floorSequence(): bigint {
    return this.#floor;
  }

  get byteLength(): number {
    return this.#bytes;
  }

  /** Adds entries that follow the last one. */
  add(entries: readonly LogEntry[]): void {
    for (const entry of entries) {
      this.#entries.push(entry);
      this.#bytes += entry.bytes.length;
    }
    this.#shrink();
  }

  /** Reads entries after a sequence that is at or above the floor, bounded as a store's reads are. */
  readAfter(sequence: bigint, maxEntries: number, maxBytes: number): readonly LogEntry[] {
    const start = this.#indexAfter(sequence);
    let end = start;
    let bytes = 0;
    while (end < this.#entries.length && end - start < maxEntries) {
      bytes += this.#entries[end]?.bytes.length ?? 0;
      if (end > start && bytes > maxBytes) break;
      end += 1;
    }
    return this.#entries.slice(start, end);
  }

  /** Forgets the entries after a sequence, which are no longer in the log. */
  removeAfter(sequence: bigint): void {
    const removed = this.#entries.splice(this.#indexAfter(sequence));
    for (const entry of removed) this.#bytes -= entry.bytes.length;
    if (sequence < this.#floor) this.#floor = sequence;
  }

  /** Forgets everything; readers go to the store until new entries come. */
  clear(headSequence: bigint): void {
    this.#entries = [];
    this.#first = 0;
    this.#bytes = 0;
    this.#floor = headSequence;
  }

  #shrink(): void {
    while (
      this.#entries.length - this.#first > this.#limits.maxEntries ||
      (this.#bytes > this.#limits.maxBytes && this.#first < this.#entries.length)
    ) {
      const oldest = this.#entries[this.#first];
      if (oldest === undefined) break;
      this.#bytes -= oldest.bytes.length;
      this.#floor = oldest.sequence;
      this.#first += 1;
    }
    if (this.#first * 2 > this.#entries.length) {
      this.#entries = this.#entries.slice(this.#first);
      this.#first = 0;
    }
  }

  #indexAfter(sequence: bigint): number {
    let low = this.#first;
    let high = this.#entries.length;
    while (low < high) {
      const middle = (low + high) >>> 1;
      const entry = this.#entries[middle];
      if (entry !== undefined && entry.sequence <= sequence) low = middle + 1;
      else high = middle;
    }
    return low;
  }
}
