/** Takes a change back. Changes are taken back in the reverse order in which they were made. */
export type Undo = () => void;

/**
 * The next version of a map: what is set or removed stands beside the map, which stays as it is. Every operation costs the
 * same however large the map is, and can be taken back.
 */
export class DraftMap<V> {
  readonly #base: ReadonlyMap<string, V>;
  readonly #changes = new Map<string, V | undefined>();
  #size: number;
  #baseKeys: Iterator<string> | undefined;

  constructor(base: ReadonlyMap<string, V>) {
    this.#base = base;
    this.#size = base.size;
  }

  /** How many keys it has. */
  get size(): number {
    return this.#size;
  }

  /** What is set, and as undefined what is removed. */
  get changes(): ReadonlyMap<string, V | undefined> {
    return this.#changes;
  }

  get(key: string): V | undefined {
    const changed = this.#changes.get(key);
    return changed !== undefined || this.#changes.has(key) ? changed : this.#base.get(key);
  }

  has(key: string): boolean {
    return this.get(key) !== undefined;
  }

  /** Those of the map that are unchanged, in its order, then those that were set. */
  *entries(): Iterable<readonly [string, V]> {
    for (const entry of this.#base) if (!this.#changes.has(entry[0])) yield entry;
    for (const [key, value] of this.#changes) if (value !== undefined) yield [key, value];
  }

  /** Sets a value, or removes it where it is undefined. */
  set(key: string, value: V | undefined): Undo {
    const sizeBefore = this.#size;
    const before = this.#changes.get(key);
    const wasChanged = before !== undefined || this.#changes.has(key);
    const wasThere = wasChanged ? before !== undefined : this.#base.has(key);
    this.#size += Number(value !== undefined) - Number(wasThere);
    this.#changes.set(key, value);
    return () => {
      this.#size = sizeBefore;
      this.#baseKeys = undefined;
      if (wasChanged) this.#changes.set(key, before);
      else this.#changes.delete(key);
    };
  }

  /** The first key in the map's order that is unchanged, or else the first that was set; undefined when it is empty. */
  firstKey(): string | undefined {
    this.#baseKeys ??= this.#base.keys();
    for (let next = this.#baseKeys.next(); next.done !== true; next = this.#baseKeys.next()) {
      if (!this.#changes.has(next.value)) return next.value;
    }
    for (const [key, value] of this.#changes) if (value !== undefined) return key;
    return undefined;
  }
}
