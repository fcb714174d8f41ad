/** Something that is handed every signal published after it was added. */
export interface RelayReader<Signal> {
  /** Takes signals in order; must not keep the list. */
  take(signals: readonly Signal[]): void;
}

/**
 * All that a relay's server knows: what was published, in memory, and who reads. What was published in one turn of the
 * event loop is handed over together.
 */
export class RelayLog<Signal extends Uint8Array> {
  readonly #signals: Signal[] = [];
  readonly #readers = new Set<RelayReader<Signal>>();
  #handedOver = 0;
  #isScheduled = false;

  /** Signals stored so far. */
  get size(): number {
    return this.#signals.length;
  }

  /** Stores one signal. */
  append(signal: Signal): void {
    this.#signals.push(signal);
    if (this.#isScheduled) return;
    this.#isScheduled = true;
    setImmediate(() => this.#handOver());
  }

  /** Adds a reader of what is published from now on; the answer removes it. */
  add(reader: RelayReader<Signal>): () => void {
    this.#handOver();
    this.#readers.add(reader);
    return () => this.#readers.delete(reader);
  }

  #handOver(): void {
    this.#isScheduled = false;
    const signals = this.#signals.slice(this.#handedOver);
    this.#handedOver = this.#signals.length;
    if (signals.length === 0) return;
    for (const reader of this.#readers) reader.take(signals);
  }
}
