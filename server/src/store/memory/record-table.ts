import { firstIndexNot } from "../../model/first-index.js";
import { compareKeys } from "./compare-keys.js";

/*
 * The journal records of one kind. Most kinds are only ever loaded whole: their keys are put in order when somebody first asks
 * for order, and are kept so while new ones come behind the last, as those of the audit do. Trimming costs what is trimmed.
 */

/** What of the records to read. */
export interface RecordSlice {
  /** Exclusive end to start from. */
  readonly fromKey?: string | undefined;
  readonly descending?: boolean;
  readonly limit: number;
}

/** A record's key and its value. */
export type KeyedValue = readonly [key: string, value: Uint8Array];

/** The last value of every record of one kind. */
export class RecordTable {
  readonly #values = new Map<string, Uint8Array>();
  /** The keys in order, and some that are gone; undefined until they are asked for. */
  #order: string[] | undefined;

  set(key: string, value: Uint8Array): void {
    const order = this.#order;
    if (order !== undefined && !this.#values.has(key)) {
      const last = order.at(-1);
      const difference = last === undefined ? 1 : compareKeys(key, last);
      if (difference > 0) order.push(key);
      else if (difference < 0) this.#order = undefined;
    }
    this.#values.set(key, value);
  }

  delete(key: string): void {
    this.#values.delete(key);
    const order = this.#order;
    if (order !== undefined && order.length > 2 * this.#values.size) this.#order = undefined;
  }

  /** All of them, in any order. */
  entries(): Iterable<KeyedValue> {
    return this.#values;
  }

  /** Reads records in the order of their keys. */
  read({ fromKey, descending = false, limit }: RecordSlice): readonly KeyedValue[] {
    const order = this.#ordered();
    const read: KeyedValue[] = [];
    const step = descending ? -1 : 1;
    let index = descending ? order.length - 1 : 0;
    if (fromKey !== undefined) index = descending ? firstFrom(order, fromKey) - 1 : firstFrom(order, `${fromKey}\0`);
    for (; read.length < limit; index += step) {
      const key = order[index];
      if (key === undefined) break;
      const value = this.#values.get(key);
      if (value !== undefined) read.push([key, value]);
    }
    return read;
  }

  /** Removes the records whose keys sort before one. */
  removeBefore(key: string): void {
    const order = this.#ordered();
    for (const before of order.splice(0, firstFrom(order, key))) this.#values.delete(before);
  }

  #ordered(): string[] {
    this.#order ??= [...this.#values.keys()].sort(compareKeys);
    return this.#order;
  }
}

/** The index of the first key that does not sort before one. */
function firstFrom(order: readonly string[], key: string): number {
  return firstIndexNot(order.length, (index) => compareKeys(order[index] ?? "", key) < 0);
}
