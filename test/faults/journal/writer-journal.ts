import { NumberList } from "./number-list.js";

/** What one writer has sent, and what it was told of it. */
export class WriterJournal {
  readonly writer: number;
  /** Ordinal to the sequence that was acknowledged; 0 while the outcome is not known. */
  readonly #acknowledged = new NumberList();
  /** First ordinal to length of each atomic batch. */
  readonly atomicBatches = new Map<number, number>();
  #sent = 0;
  #acknowledgedCount = 0;

  constructor(writer: number) {
    this.writer = writer;
  }

  /** Signals that were sent at least once. */
  get sentCount(): number {
    return this.#sent;
  }

  get acknowledgedCount(): number {
    return this.#acknowledgedCount;
  }

  /** Takes the next ordinals, before they are sent for the first time. */
  plan(count: number, isAtomic: boolean): readonly number[] {
    const ordinals = Array.from({ length: count }, (_, index) => this.#sent + index);
    if (isAtomic) this.atomicBatches.set(this.#sent, count);
    this.#sent += count;
    return ordinals;
  }

  /** Notes an acknowledgement. Returns the sequence acknowledged before where it was another one. */
  acknowledge(ordinal: number, sequence: bigint): number | undefined {
    const before = this.#acknowledged.at(ordinal);
    if (before === 0) {
      this.#acknowledged.set(ordinal, Number(sequence));
      this.#acknowledgedCount += 1;
    }
    return before === 0 || before === Number(sequence) ? undefined : before;
  }

  /** The sequence that was acknowledged; undefined while the outcome is not known. */
  acknowledgedSequence(ordinal: number): number | undefined {
    return this.#acknowledged.at(ordinal) || undefined;
  }
}
