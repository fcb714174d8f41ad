/** What an entry takes in memory beside its bytes, roughly: the object, its sequence, its facts and their texts. */
const entryOverheadBytes = 300;

/**
 * What the tail caches of one server may hold together beyond what each of them always may. A cache that is larger than that
 * counts whole; when there is no room left, caches go back to their own share with their next entries.
 */
export class TailBudget {
  readonly #maxBytes: number;
  #heldBytes = 0;

  /** `maxBytes` is memory, not signals' bytes alone. */
  constructor(maxBytes: number) {
    this.#maxBytes = maxBytes;
  }

  /** Memory that caches beyond their own share hold. */
  get heldBytes(): number {
    return this.#heldBytes;
  }

  get isFull(): boolean {
    return this.#heldBytes >= this.#maxBytes;
  }

  /** Notes that a cache now holds so much beyond its own share; returns what it has to tell as `before` the next time. */
  note(entries: number, bytes: number, before: number): number {
    const held = bytes + entries * entryOverheadBytes;
    this.#heldBytes += held - before;
    return held;
  }
}
