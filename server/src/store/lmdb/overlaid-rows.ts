import { firstIndexNot } from "../../model/first-index.js";
import { textOfKey } from "./lmdb-records.js";
import type { RowChange } from "./lmdb-writer.js";
import type { LmdbDatabase } from "./open-lmdb.js";
import type { Row } from "./pending-rows.js";

/** Rows that can be read: by their keys, and from a key to before another, in the order of keys. */
export interface RowSource {
  getBinary(key: Uint8Array): Uint8Array | undefined;
  getRange(range: RowRange): Iterable<Row>;
}

/** A stretch of keys. */
export interface RowRange {
  readonly start?: Uint8Array;
  readonly end?: Uint8Array;
}

/** The rows of a tree as they will be after changes. */
export class OverlaidRows implements RowSource {
  readonly #tree: Pick<LmdbDatabase, "getBinary" | "getRange">;
  readonly #changes: ReadonlyMap<string, RowChange>;
  readonly #sorted: readonly RowChange[];

  constructor(tree: Pick<LmdbDatabase, "getBinary" | "getRange">, changes: Iterable<RowChange>) {
    this.#tree = tree;
    this.#changes = new Map(Array.from(changes, (change) => [textOfKey(change.key), change]));
    this.#sorted = [...this.#changes.values()].sort((a, b) => Buffer.compare(a.key, b.key));
  }

  getBinary(key: Uint8Array): Uint8Array | undefined {
    const change = this.#changes.get(textOfKey(key));
    return change === undefined ? this.#tree.getBinary(key) : change.value;
  }

  *getRange(range: RowRange): Iterable<Row> {
    const { start, end } = range;
    let at = this.#placeOf(start);
    const through = end === undefined ? this.#sorted.length : this.#placeOf(end);
    for (const row of this.#tree.getRange(range)) {
      for (; at < through && this.#compare(at, row.key) < 0; at++) yield* this.#rowAt(at);
      if (at < through && this.#compare(at, row.key) === 0) yield* this.#rowAt(at++);
      else yield row;
    }
    for (; at < through; at++) yield* this.#rowAt(at);
  }

  /** Where the first change is whose key is not before this one. */
  #placeOf(key: Uint8Array | undefined): number {
    if (key === undefined) return 0;
    return firstIndexNot(this.#sorted.length, (index) => this.#compare(index, key) < 0);
  }

  #compare(place: number, key: Uint8Array): number {
    return Buffer.compare(this.#sorted[place]?.key ?? key, key);
  }

  /** The row that a change leaves; none where it removes one. */
  #rowAt(place: number): readonly Row[] {
    const { key, value } = this.#sorted[place] ?? {};
    return key === undefined || value === undefined ? [] : [{ key, value }];
  }
}
