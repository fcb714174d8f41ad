import type { ContextValues } from "@connectrpc/connect";
import type { CoordinationClientError } from "../errors/coordination-client-error.js";
import type { BatchAnswer } from "./batch-results.js";
import type { OutgoingBatch } from "./send-pipeline.js";

/** One stream of batches to a server. */
export interface BatchChannel {
  /** Sends a batch. */
  readonly send: (batch: OutgoingBatch) => void;
  /** Says that no batch follows; the server ends the stream when it has answered all. */
  readonly finish: () => void;
  /** Ends the stream now: `onEnd` is told the error. */
  readonly cancel: (error: CoordinationClientError) => void;
}

/** What a channel tells. */
export interface BatchChannelEvents {
  /** The oldest batch that is not answered is. */
  readonly onAnswer: (answer: BatchAnswer) => void;
  /** Called once, when nothing follows: with `undefined` when the server has ended the stream well. Not before the channel is there. */
  readonly onEnd: (thrown: unknown) => void;
}

/** Opens a channel; the context values ask for its route. */
export type OpenBatchChannel = (contextValues: ContextValues, events: BatchChannelEvents) => BatchChannel;
