import { headerKey, logKey, sequenceFromLogKey } from "./lmdb-records.js";
import type { LmdbDatabase } from "./open-lmdb.js";
import type { PendingRows, Row } from "./pending-rows.js";

/** Reads the rows of logs: those in the tree, and behind them those that wait to be put there. */
export class LogRows {
  readonly #db: LmdbDatabase;
  readonly #pending: PendingRows;

  constructor(db: LmdbDatabase, pending: PendingRows) {
    this.#db = db;
    this.#pending = pending;
  }

  /** From the row on that holds an entry, in their order; each is good until the next one is read. */
  *from(ordinal: number, sequence: bigint): Iterable<Row> {
    let next = sequence;
    for (const row of this.#db.getRange({ start: logKey(ordinal, sequence), end: headerKey(ordinal) })) {
      next = sequenceFromLogKey(row.key) + 1n;
      yield row;
    }
    // What just arrived in the tree may still wait, too.
    yield* this.#pending.logRows(ordinal, next);
  }

  /** From the row on that holds an entry, the last first, as far as they end after another entry. */
  *backwardFrom(ordinal: number, sequence: bigint, afterSequence: bigint): Iterable<Row> {
    let start = this.#treeRowOf(ordinal, sequence);
    if (start === undefined) {
      start = logKey(ordinal, sequence);
      const waiting = this.#pending.logRows(ordinal, afterSequence + 1n);
      const holder = waiting.findIndex(({ lastSequence }) => lastSequence >= sequence);
      for (const row of (holder === -1 ? waiting : waiting.slice(0, holder + 1)).reverse()) {
        start = logKey(ordinal, row.lastSequence - 1n);
        yield row;
      }
    }
    yield* this.#db.getRange({ start, end: logKey(ordinal, afterSequence), reverse: true });
  }

  /** The key of the row in the tree that holds an entry. */
  #treeRowOf(ordinal: number, sequence: bigint): Buffer | undefined {
    const start = logKey(ordinal, sequence);
    for (const key of this.#db.getKeys({ start, end: headerKey(ordinal), limit: 1 })) return Buffer.from(key);
    return undefined;
  }
}
