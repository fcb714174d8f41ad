/** Takes a change back. Changes are taken back in the reverse order in which they were made. */
export type Undo = () => void;

/**
 * The next version of a map: what is set or removed stands beside the map, which stays as it is. Every operation costs the
 * same however large the map is, and can be taken back.
 */
export class DraftMap<V> {
  readonly #base: ReadonlyMap<string, V>;
  /** Made with the first change: most maps of a draft have none. */
  #changes: Map<string, V | undefined> | undefined;
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
    return this.#changes ?? none;
  }

  get(key: string): V | undefined {
    const changed = this.#changes?.get(key);
    return changed !== undefined || this.#isChanged(key) ? changed : this.#base.get(key);
  }

  has(key: string): boolean {
    return this.get(key) !== undefined;
  }

  /** Those of the map that are unchanged, in its order, then those that were set. */
  *entries(): Iterable<readonly [string, V]> {
    for (const entry of this.#base) if (!this.#isChanged(entry[0])) yield entry;
    for (const [key, value] of this.changes) if (value !== undefined) yield [key, value];
  }

  /** Sets a value, or removes it where it is undefined. */
  set(key: string, value: V | undefined): Undo {
    const sizeBefore = this.#size;
    this.#changes ??= new Map();
    const changes = this.#changes;
    const before = changes.get(key);
    const wasChanged = before !== undefined || changes.has(key);
    const wasThere = wasChanged ? before !== undefined : this.#base.has(key);
    this.#size += Number(value !== undefined) - Number(wasThere);
    changes.set(key, value);
    return () => {
      this.#size = sizeBefore;
      this.#baseKeys = undefined;
      if (wasChanged) changes.set(key, before);
      else changes.delete(key);
    };
  }

  /** The first key in the map's order that is unchanged, or else the first that was set; undefined when it is empty. */
  firstKey(): string | undefined {
    this.#baseKeys ??= this.#base.keys();
    for (let next = this.#baseKeys.next(); next.done !== true; next = this.#baseKeys.next()) {
      if (!this.#isChanged(next.value)) return next.value;
    }
    for (const [key, value] of this.changes) if (value !== undefined) return key;
    return undefined;
  }

  #isChanged(key: string): boolean {
    return this.#changes?.has(key) === true;
  }
}

const none: ReadonlyMap<string, never> = new Map<string, never>();
