import { levelShareSignals, maxBatchSignals } from "../../model/limits.js";
import { priorityLevels } from "../../model/priority-level.js";

/*
 * The shares of batches, for signals that are handed out as few at a time as there is room: what would be a batch is spread over
 * many. A level that waits while signals of others are handed out, as many as leave room in a batch for the shares of all
 * levels but one, has its turn: a share before all above it. So fewer signals than a batch has pass a waiting level's
 * oldest one, and fewer than ⌊k / 100⌋ + 1 batches have pass one with k of its level before it.
 *
 * One number for each level is what there is to remember: how often it was passed, or as a negative one what is left of its
 * turn. They are stored with the subscription's position, so that the bound holds across restarts and servers.
 */

/** Decides which level comes next. */
export class LevelTurns {
  readonly #turns: number[];

  constructor(turns: readonly number[] = []) {
    this.#turns = priorityLevels.map((_, level) => turns[level] ?? 0);
  }

  /** What is to be stored. */
  get all(): readonly number[] {
    return this.#turns;
  }

  /** Of the levels in which something waits, those that have their turn, in the order in which they come. */
  inTurn(waiting: readonly number[]): readonly number[] {
    const limit = limitOf(waiting.length);
    const due = waiting.filter((level) => this.#of(level) < 0 || this.#of(level) >= limit);
    // A turn that was begun is not interrupted; else the one that was passed most comes first.
    return due.sort((a, b) => rank(this.#of(b)) - rank(this.#of(a)) || a - b);
  }

  /** A signal of a level is handed out; the level is one of those in which something waits that could be handed out. */
  handedOut(level: number, waiting: readonly number[]): void {
    if (this.#of(level) < 0) this.#turns[level] = this.#of(level) + 1;
    else if (this.#of(level) >= limitOf(waiting.length)) this.#turns[level] = 1 - levelShareSignals;
    for (const each of waiting) if (each !== level && this.#of(each) >= 0) this.#turns[each] = this.#of(each) + 1;
  }

  /** Nothing of a level waits: nothing is owed to it. */
  clear(level: number): void {
    this.#turns[level] = 0;
  }

  #of(level: number): number {
    return this.#turns[level] ?? 0;
  }
}

/** How often a level is passed before it has its turn, where something waits on so many levels. */
function limitOf(levelCount: number): number {
  return maxBatchSignals - (levelCount - 1) * levelShareSignals;
}

function rank(turn: number): number {
  return turn < 0 ? Number.MAX_SAFE_INTEGER : turn;
}
