import type { ContextValues } from "@connectrpc/connect";
import type {
  GetSignalHistoryRequest,
  SubscribeRequest,
  SubscribeResponse,
} from "@coordination-signals/proto/coordination/v1/signal_service";
import type { CoordinationClientError } from "../errors/coordination-client-error.js";
import type { OpenBatchChannel } from "../sending/batch-channel.js";
import type { SignalPage } from "./signal-page.js";

/** One item of a subscription; its case is undefined for a kind that this version does not know. */
export type SubscriptionItem = SubscribeResponse["item"];

/**
 * The items of one subscription as they are read. Waiting and taking are two steps because a promise that has waited long is
 * in V8's old generation: dead, it would keep a batch it was resolved with, and what a thousand signals take with it.
 */
export interface ItemStream {
  /**
   * Waits for the next item, which must then be taken; resolves with false when the server has ended the stream well. Rejects
   * with what ended it otherwise. One wait at a time; while nothing is taken, the server is held back.
   */
  arrived(): Promise<boolean>;
  /** Takes the item that has arrived, once. Throws when it cannot be decoded. */
  take(): SubscriptionItem;
  /** Ends the stream at once. A read that waits rejects with the reason. */
  cancel(reason: CoordinationClientError): void;
}

/** How a stream is opened. */
export interface StreamOptions {
  /** Asks for the stream's route. */
  readonly contextValues: ContextValues;
  /** Called once with what has ended the stream, unless that was the server's or this side's will. */
  readonly onFailed?: ((thrown: unknown) => void) | undefined;
}

/** How a page of history is read. */
export interface PageOptions {
  /** Gives up. */
  readonly signal: AbortSignal;
  /** How long it may take, in milliseconds. */
  readonly timeoutMs: number;
  /** Told which page comes next when the beginning of this one has arrived, if it says so; what the page itself says counts. */
  readonly onNextPageToken?: ((pageToken: string) => void) | undefined;
}

/**
 * What carries many signals, of a transport that reads and writes their bytes itself: passing them through the
 * protocol library costs as much as all the rest. Not for a transport where somebody looks at messages on their way.
 */
export interface SignalStreams {
  /** Opens a subscription's stream. */
  readonly subscribe: (request: SubscribeRequest, options: StreamOptions) => ItemStream;
  /** Opens a stream of batches. */
  readonly sendBatches: OpenBatchChannel;
  /** Reads a page of history. */
  readonly readHistory: (request: GetSignalHistoryRequest, options: PageOptions) => Promise<SignalPage>;
  /** Waits for the next turn of the event loop, in which what has arrived is read. */
  readonly nextTurn: () => Promise<void>;
}
