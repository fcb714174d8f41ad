import { laterOf } from "../../model/cursor.js";
import { firstIndexNot } from "../../model/first-index.js";
import type { LogEntry } from "../../model/log-entry.js";
import { LogPage } from "../log-page.js";
import type { LogRange } from "../signal-store.js";
import { PackedPage } from "./packed-page.js";

// A page is at most about twice what the one before it holds: small logs stay small, and one that is rolled back again and
// again, which begins a page each time, does not take more than it has.
const leastPageBytes = 1_024;
const greatestPageBytes = 64 * 1_024;

/** What of a log to read. */
export type PackedRange = Pick<LogRange, "fromSequence" | "maxEntries" | "maxBytes">;

/** A log in memory, packed into pages. Adding an entry costs the same however many there are. */
export class PackedLog {
  /** In the order of their sequences; none is empty. */
  readonly #pages: PackedPage[] = [];
  #trimmedThrough = 0n;

  /** Adds an entry whose sequence is greater than those that are here. */
  append(entry: LogEntry): void {
    const last = this.#pages.at(-1);
    if (last?.add(entry)) return;
    const wanted = 2 * ((last?.byteLength ?? 0) + entry.bytes.length);
    const size = Math.min(greatestPageBytes, Math.max(leastPageBytes, wanted));
    const page = new PackedPage(entry.sequence, Math.max(size, PackedPage.bytesFor(entry)));
    page.add(entry);
    this.#pages.push(page);
  }

  /** Removes the entries through a sequence; their memory is given back by the page. */
  removeThrough(sequence: bigint): void {
    if (sequence <= this.#trimmedThrough) return;
    this.#trimmedThrough = sequence;
    this.#pages.splice(0, this.#pageAfter(sequence));
  }

  /** Removes the entries after a sequence. */
  removeAfter(sequence: bigint): void {
    const index = this.#pageAfter(sequence);
    const page = this.#pages[index];
    if (page === undefined) return;
    const isCut = page.firstSequence <= sequence;
    if (isCut) page.removeAfter(sequence);
    this.#pages.splice(isCut ? index + 1 : index);
  }

  /** The entry at a sequence; undefined when there is none. */
  entryAt(sequence: bigint): LogEntry | undefined {
    if (sequence <= this.#trimmedThrough) return undefined;
    const page = this.#pages[this.#pageAfter(sequence - 1n)];
    return page === undefined || page.firstSequence > sequence ? undefined : page.entryAt(sequence);
  }

  /** Reads entries after a sequence, oldest first. */
  readForward(range: PackedRange): readonly LogEntry[] {
    const after = laterOf(range.fromSequence, this.#trimmedThrough);
    const read = new LogPage(range);
    for (let index = this.#pageAfter(after); index < this.#pages.length; index++) {
      const page = this.#pages[index];
      if (page === undefined) break;
      const { lastSequence } = page;
      for (let sequence = laterOf(page.firstSequence, after + 1n); sequence <= lastSequence; sequence++) {
        if (!read.add(page.entryAt(sequence))) return read.entries;
      }
    }
    return read.entries;
  }

  /** Reads entries before a sequence, newest first. */
  readBackward(range: PackedRange): readonly LogEntry[] {
    const last = range.fromSequence - 1n;
    const read = new LogPage(range);
    for (let index = this.#pageAfter(last - 1n); index >= 0; index--) {
      const page = this.#pages[index];
      // The last one may be behind all pages, or before the page that was found.
      if (page === undefined || page.firstSequence > last) continue;
      const first = laterOf(page.firstSequence, this.#trimmedThrough + 1n);
      for (let sequence = page.lastSequence < last ? page.lastSequence : last; sequence >= first; sequence--) {
        if (!read.add(page.entryAt(sequence))) return read.entries;
      }
    }
    return read.entries;
  }

  /** The index of the first page that holds something after a sequence. */
  #pageAfter(sequence: bigint): number {
    return firstIndexNot(this.#pages.length, (index) => (this.#pages[index]?.lastSequence ?? sequence) <= sequence);
  }
}
