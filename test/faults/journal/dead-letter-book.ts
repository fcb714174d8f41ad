import type { DeadLetter } from "@coordination-signals/proto/coordination/v1/acknowledgement";
import type { ListDeadLettersResponse } from "@coordination-signals/proto/coordination/v1/signal_service";
import type { FaultReport } from "../harness/fault-report.js";

/** Lists a page of the dead letters, those that came last first. */
export type ListPage = (pageToken: string) => Promise<ListDeadLettersResponse>;

/**
 * Every dead letter there was of one subscription. A server keeps a bounded number of them and counts those that have gone: whoever
 * reads often enough has them all, and the book says so when it has not.
 */
export class DeadLetterBook {
  readonly #letters = new Map<bigint, DeadLetter>();
  /** Those that the server still has, as of the last reading. */
  #kept: ReadonlySet<bigint> = new Set();
  #droppedCount = 0;

  /** By the sequence of their signals. */
  get letters(): ReadonlyMap<bigint, DeadLetter> {
    return this.#letters;
  }

  get keptCount(): number {
    return this.#kept.size;
  }

  /** How many the server no longer has. */
  get droppedCount(): number {
    return this.#droppedCount;
  }

  /** Whether a signal was a dead letter that had to go for a newer one: it cannot be put back. */
  hasGone(sequence: bigint): boolean {
    return this.#letters.has(sequence) && !this.#kept.has(sequence);
  }

  /** Reads those that came since the last time. */
  async readNew(listPage: ListPage): Promise<void> {
    let pageToken = "";
    do {
      const page = await listPage(pageToken);
      const unknown = page.deadLetters.filter(({ sequence }) => !this.#letters.has(sequence));
      for (const letter of unknown) this.#letters.set(letter.sequence, letter);
      // What came before a letter that is known is known as well.
      pageToken = unknown.length < page.deadLetters.length ? "" : page.nextPageToken;
    } while (pageToken !== "");
  }

  /** Reads all that the server has, once no more are made, and compares them with its counts. */
  async close(listPage: ListPage, report: FaultReport): Promise<void> {
    const kept = new Set<bigint>();
    let page: ListDeadLettersResponse;
    let pageToken = "";
    do {
      page = await listPage(pageToken);
      for (const letter of page.deadLetters) {
        kept.add(letter.sequence);
        this.#letters.set(letter.sequence, letter);
      }
      pageToken = page.nextPageToken;
    } while (pageToken !== "");
    this.#kept = kept;
    this.#droppedCount = Number(page.droppedCount);
    const counted = kept.size + this.#droppedCount;
    if (counted === this.#letters.size) return;
    report.violation("otherwise wrong", `${this.#letters.size} dead letters were seen, the server counts ${counted}`);
  }
}
