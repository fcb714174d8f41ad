/** Entries after which a depth counts for the past, and after twice as many not at all. */
const spanEntries = 16_384;

/**
 * How far behind the head of a log its readers have been lately, in entries. What is kept in memory for longer than somebody
 * reads it survives the collection of garbage for nothing, which costs a busy server more than all the rest of keeping it.
 */
export class ReadDepth {
  #deepest = 0;
  #deepestBefore = 0;
  #added = 0;

  /** The deepest read of the last entries, at least as many as a span has. */
  get deepest(): number {
    return Math.max(this.#deepest, this.#deepestBefore);
  }

  /** Notes that somebody reads this many entries behind the head. */
  noteRead(depth: number): void {
    if (depth > this.#deepest) this.#deepest = depth;
  }

  /** Notes that the log has grown. */
  noteAdded(entries: number): void {
    this.#added += entries;
    if (this.#added < spanEntries) return;
    this.#added = 0;
    this.#deepestBefore = this.#deepest;
    this.#deepest = 0;
  }
}
