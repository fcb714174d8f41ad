import { nextSequence } from "./next-sequence.js";
import type { RemovedRange } from "./signal-store.js";

const maxDamages = 1_000;
const progressStep = 100_000;

/** What an inspection of a store has counted and found wrong so far. */
export class InspectionFindings {
  readonly #onProgress: (rowCount: number) => void;
  readonly #damages: string[] = [];
  #rowCount = 0;

  /** `onProgress` is told of rows read, every 100,000. */
  constructor(onProgress: (rowCount: number) => void) {
    this.#onProgress = onProgress;
  }

  get rowCount(): number {
    return this.#rowCount;
  }

  /** What is wrong, in sentences: the first 1,000 of them. */
  get damages(): readonly string[] {
    return this.#damages;
  }

  /** Counts a row, and notes what looking into it throws. */
  row(inspect: () => void): void {
    this.#rowCount += 1;
    if (this.#rowCount % progressStep === 0) this.#onProgress(this.#rowCount);
    this.look(inspect);
  }

  /** Notes what looking into something throws. */
  look(inspect: () => void): void {
    try {
      inspect();
    } catch (error) {
      this.damage(error instanceof Error ? error.message : String(error));
    }
  }

  damage(sentence: string): void {
    if (this.#damages.length < maxDamages) this.#damages.push(sentence);
  }

  /** Notes a damage where there are not as many as there should be. */
  count(coordinationId: string, name: string, found: number, expected: number): void {
    if (found !== expected) this.damage(`"${coordinationId}" has ${found} ${name}, it should have ${expected}`);
  }

  /** Notes a damage where one signal does not follow another, with only what rollbacks removed between them. */
  join(
    coordinationId: string,
    removedRanges: readonly RemovedRange[],
    [previous, next]: readonly [previous: bigint, next: bigint],
  ): void {
    const expected = nextSequence(previous, removedRanges);
    if (next === expected) return;
    this.damage(`"${coordinationId}" has signal ${next} where ${expected} should follow ${previous}`);
  }
}
