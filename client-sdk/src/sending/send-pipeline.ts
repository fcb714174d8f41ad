import type { CoordinationClientError } from "../errors/coordination-client-error.js";
import type { BatchAnswer } from "./batch-results.js";
import type { EncodedSend } from "./encode-send.js";

/** Signals that travel together. */
export interface OutgoingBatch {
  readonly sends: readonly EncodedSend[];
  /** Stored whole or not at all. */
  readonly atomic: boolean;
}

/** A batch on its way. */
export interface Delivery {
  /**
   * Resolves with an outcome for each signal. Rejects with a CoordinationClientError when the batch failed as a whole, with a
   * DeliverAgainError when another one's failure came in between.
   */
  readonly answered: Promise<BatchAnswer>;
  /** Gives it up: `answered` rejects. What is on its way may be stored all the same. */
  readonly cancel: (error: CoordinationClientError) => void;
}

/**
 * How batches reach the server; the sender decides what is in them. One implementation makes a unary call per batch; one
 * that keeps a stream open can have several batches in flight.
 */
export interface SendPipeline {
  /** How many batches may be in flight at once without changing their order. */
  readonly maxBatchesInFlight: number;
  /** The most signals in one batch of sends that may travel apart; an atomic batch may have more. */
  readonly maxBatchSignals: number;
  /** Calls back when what is being sent now, one after the other, is likely to be there. Default: at the next microtask. */
  readonly afterTurn?: ((callback: () => void) => void) | undefined;
  /**
   * Delivers one batch, once: repeating is the sender's business. Of batches in flight together, one that is to be repeated
   * has those behind it repeated too.
   */
  deliver(batch: OutgoingBatch): Delivery;
}
