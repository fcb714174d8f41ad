import { textOfKey } from "./lmdb-records.js";
import type { RowChange } from "./lmdb-writer.js";

/**
 * The rows of one commit, gathered before anything is written: what is wrong with the store shows while they are looked up,
 * and then nothing of the commit is there. Counts what becomes of the rows that are counted.
 */
export class RowBatch {
  readonly changes: RowChange[] = [];
  readonly #exists: (key: Uint8Array) => boolean;
  /** Rows that this commit has set or removed already. */
  readonly #touched = new Map<string, boolean>();

  /** `exists` tells of the store as it is. */
  constructor(exists: (key: Uint8Array) => boolean) {
    this.#exists = exists;
  }

  put(key: Uint8Array, value: Uint8Array): void {
    this.changes.push({ key, value });
  }

  remove(key: Uint8Array): void {
    this.changes.push({ key, value: undefined });
  }

  /** Sets a row; answers by how many rows there are more, 0 or 1. */
  putCounted(key: Uint8Array, value: Uint8Array): number {
    const isNew = !this.#has(key);
    this.put(key, value);
    this.#touched.set(textOfKey(key), true);
    return Number(isNew);
  }

  /** Removes a row; answers by how many rows there are less, 0 or 1. */
  removeCounted(key: Uint8Array): number {
    const isThere = this.#has(key);
    if (isThere) this.remove(key);
    this.#touched.set(textOfKey(key), false);
    return Number(isThere);
  }

  #has(key: Uint8Array): boolean {
    return this.#touched.get(textOfKey(key)) ?? this.#exists(key);
  }
}
