import type { PumpedReader } from "./item-sink.js";

/** Readers resumed in one turn of the event loop; those behind them have to wait for the next. */
const maxReadersPerTurn = 1_000;

/**
 * Resumes the readers that were woken, in the order in which they were, when the commit that woke them is done and before its
 * senders are answered: all of them together, because what a turn costs each by itself is more than most have to do. Bounded in
 * a turn, so that a signal for very many does not keep everybody else from running.
 */
export class WakeRound {
  #woken: PumpedReader[] = [];

  /** Has a reader resumed soon. */
  add(reader: PumpedReader): void {
    this.#woken.push(reader);
    if (this.#woken.length === 1) queueMicrotask(this.#run);
  }

  readonly #run = (): void => {
    const woken = this.#woken;
    const later = woken.length > maxReadersPerTurn ? woken.splice(maxReadersPerTurn) : [];
    this.#woken = later;
    if (later.length > 0) setImmediate(this.#run);
    for (const reader of woken) reader.resume();
  };
}
