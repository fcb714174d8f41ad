import type { TailItem } from "./tail-item.js";

/** Takes what a reader is told, from a `PumpedReader`, which has to be told when it takes more. */
export interface ItemSink<Item = TailItem> {
  /** Whether an item is welcome now: everything before it was taken by the reader's connection. */
  readonly isReady: boolean;
  write(item: Item): void;
  /** All was said. Nothing is called any more after this or `fail`, nor after the reader has left. */
  end(): void;
  /** Something ended it: nothing more will come. */
  fail(error: unknown): void;
}

/**
 * What reads for a sink: it writes while the sink is ready and something is there, and else holds no more than itself. No
 * generator, promise or timer stands between the log and the connection of a reader that waits.
 */
export interface PumpedReader {
  /** Goes on, if it waits for its sink. */
  resume(): void;
  /** The reader has gone: all that is held for it is freed at once, and nothing more is written. Safe to repeat. */
  leave(): void;
}
