import type { LogEntry } from "../model/log-entry.js";
import type { LogRange } from "./signal-store.js";

/** Entries of a read until it is as large as it may be. */
export class LogPage {
  readonly entries: LogEntry[] = [];
  readonly #limits: Pick<LogRange, "maxEntries" | "maxBytes">;
  #bytes = 0;

  constructor(limits: Pick<LogRange, "maxEntries" | "maxBytes">) {
    this.#limits = limits;
  }

  /** Answers whether the entry was taken. */
  add(entry: LogEntry): boolean {
    this.#bytes += entry.bytes.length;
    const isFull = this.entries.length >= this.#limits.maxEntries || this.#bytes > this.#limits.maxBytes;
    if (isFull && this.entries.length > 0) return false;
    this.entries.push(entry);
    return true;
  }
}
