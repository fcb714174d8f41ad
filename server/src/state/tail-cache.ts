import { firstIndexNot } from "../model/first-index.js";
import type { LogEntry } from "../model/log-entry.js";
import { ReadDepth } from "./read-depth.js";
import type { TailBudget } from "./tail-budget.js";

/** How much of a log's end stays in memory. */
export interface TailCacheLimits {
  readonly maxEntries: number;
  readonly maxBytes: number;
}

/** What a cache may hold at most while readers are behind and the server has room. */
export interface TailExtension extends TailCacheLimits {
  readonly budget: TailBudget;
}

/**
 * The end of a log in memory, so that readers near the head never touch the store. It holds every entry after its floor: a
 * share of its own, and twice as far back as readers were lately.
 * Adding is amortised constant: entries leave from the front by an offset, and the array is compacted when a quarter of it is gone.
 */
export class TailCache {
  readonly #limits: TailCacheLimits;
  readonly #extension: TailExtension | undefined;
  readonly #depth = new ReadDepth();
  /** What the budget knows of. */
  #noted = 0;
  #entries: LogEntry[] = [];
  #first = 0;
  #bytes = 0;
  #floor: bigint;

  constructor(limits: TailCacheLimits, headSequence: bigint, extension?: TailExtension) {
    this.#limits = limits;
    this.#extension = extension;
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
    this.#depth.noteAdded(entries.length);
    this.#shrink(this.#wanted());
  }

  /** Notes that somebody reads after a sequence that is below the floor. Who is only a little behind will find more here. */
  missed(sequence: bigint): void {
    const depth = Number(this.#floor - sequence) + this.#count;
    if (this.#extension !== undefined && depth <= this.#extension.maxEntries) this.#depth.noteRead(depth);
  }

  /** Goes back to its own share: nobody uses it any more. */
  release(): void {
    this.#shrink(this.#limits);
  }

  /** Reads entries after a sequence that is at or above the floor, bounded as a store's reads are. */
  readAfter(sequence: bigint, maxEntries: number, maxBytes: number): readonly LogEntry[] {
    const start = this.#indexAfter(sequence);
    this.#depth.noteRead(this.#entries.length - start);
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
    this.#note();
  }

  /** Forgets everything; readers go to the store until new entries come. */
  clear(headSequence: bigint): void {
    this.#entries = [];
    this.#first = 0;
    this.#bytes = 0;
    this.#floor = headSequence;
    this.#note();
  }

  get #count(): number {
    return this.#entries.length - this.#first;
  }

  /** What it holds from now on. */
  #wanted(): TailCacheLimits {
    const own = this.#limits;
    const extension = this.#extension;
    if (extension === undefined || extension.budget.isFull) return own;
    // Whoever is behind may fall back further before it reads again.
    const wanted = own.maxEntries + 2 * this.#depth.deepest;
    return { maxEntries: Math.min(wanted, extension.maxEntries), maxBytes: extension.maxBytes };
  }

  #note(): void {
    const { maxEntries, maxBytes } = this.#limits;
    const isBeyond = this.#count > maxEntries || this.#bytes > maxBytes;
    if (this.#extension === undefined || (!isBeyond && this.#noted === 0)) return;
    const { budget } = this.#extension;
    this.#noted = isBeyond ? budget.note(this.#count, this.#bytes, this.#noted) : budget.note(0, 0, this.#noted);
  }

  #shrink({ maxEntries, maxBytes }: TailCacheLimits): void {
    while (this.#count > maxEntries || (this.#bytes > maxBytes && this.#count > 0)) {
      const oldest = this.#entries[this.#first];
      if (oldest === undefined) break;
      this.#bytes -= oldest.bytes.length;
      this.#floor = oldest.sequence;
      this.#first += 1;
    }
    if (this.#first * 4 > this.#entries.length) {
      this.#entries = this.#entries.slice(this.#first);
      this.#first = 0;
    }
    this.#note();
  }

  #indexAfter(sequence: bigint): number {
    const entries = this.#entries;
    return firstIndexNot(entries.length, (index) => (entries[index]?.sequence ?? sequence) <= sequence, this.#first);
  }
}
