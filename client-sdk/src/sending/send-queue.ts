import type { PendingSend } from "./pending-send.js";
import { maxBatchBytes } from "./send-limits.js";

/** Places in front of what waits that are kept: to close the gap at every batch would cost more. */
const maxGap = 1_024;

/**
 * Sends that wait, in the order in which they were called; those that must be repeated come before those that are new. A send
 * whose caller gave up is settled, and passed over.
 */
export class SendQueue {
  /** Sorted by order. All of them were taken before anything that still waits in `#fresh`. */
  #repeated: PendingSend[] = [];
  #fresh: PendingSend[] = [];
  /** Where `#fresh` begins: what is before was taken. */
  #first = 0;

  /** Whether something waits that was taken before. */
  get hasRepeated(): boolean {
    return this.#repeated.length > 0;
  }

  /** Whether something waits. */
  get hasWaiting(): boolean {
    return this.#next() !== undefined;
  }

  /** Everything that waits, in its order. */
  get waiting(): readonly PendingSend[] {
    return [...this.#repeated, ...this.#fresh.slice(this.#first)];
  }

  add(send: PendingSend): void {
    this.#fresh.push(send);
  }

  /** Takes back sends that were taken before and must be repeated. */
  putBack(sends: readonly PendingSend[]): void {
    this.#repeated = [...this.#repeated, ...sends].sort((a, b) => a.order - b.order);
  }

  /** Removes those whose callers gave up. */
  removeSettled(): void {
    const isPending = (send: PendingSend) => !send.settled;
    this.#repeated = this.#repeated.filter(isPending);
    this.#fresh = this.#fresh.slice(this.#first).filter(isPending);
    this.#first = 0;
  }

  /** Removes and returns what goes into the next batch: an atomic batch alone, others up to so many signals and the limit of bytes. */
  takeBatch(maxSignals: number): readonly PendingSend[] {
    const batch: PendingSend[] = [];
    let bytes = 0;
    for (let next = this.#next(); next !== undefined; next = this.#next()) {
      const fits = !next.atomic && batch.length < maxSignals && bytes + next.bytes <= maxBatchBytes;
      if (batch.length > 0 && !fits) break;
      this.#take();
      if (next.settled) continue;
      batch.push(next);
      bytes += next.bytes;
      if (next.atomic) break;
    }
    return batch;
  }

  #next(): PendingSend | undefined {
    return this.#repeated[0] ?? this.#fresh[this.#first];
  }

  #take(): void {
    if (this.#repeated.length > 0) {
      this.#repeated.shift();
      return;
    }
    this.#first += 1;
    if (this.#first === this.#fresh.length) this.#fresh = [];
    else if (this.#first > maxGap) this.#fresh = this.#fresh.slice(this.#first);
    else return;
    this.#first = 0;
  }
}
