import { encodeCursor } from "../model/cursor.js";

/** The cursor that was encoded last: readers of one log that keep up stand at one place, one after another. */
export class SharedCursor {
  #epoch = "";
  #generation = 0;
  #sequence = -1n;
  #text = "";

  /** The cursor of a place in the log's order. */
  at(epoch: string, generation: number, sequence: bigint): string {
    if (sequence === this.#sequence && epoch === this.#epoch && generation === this.#generation) return this.#text;
    this.#text = encodeCursor({ epoch, generation, sequence });
    this.#epoch = epoch;
    this.#generation = generation;
    this.#sequence = sequence;
    return this.#text;
  }
}
