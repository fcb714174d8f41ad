import type { Client } from "@connectrpc/connect";
import type {
  SignalBatch,
  SignalService,
  SubscribeRequest,
} from "@coordination-signals/proto/coordination/v1/signal_service";
import { nextAttemptDelayMs, type RetryPolicy } from "../calls/retry-policy.js";
import { cancelledError } from "../errors/cancelled-error.js";
import { type CoordinationClientError, InternalError } from "../errors/coordination-client-error.js";
import { errorFromConnect } from "../errors/error-from-connect.js";
import type { Clock } from "../time/clock.js";
import { sleep } from "../time/sleep.js";
import type { SignalStreams, SubscriptionItem } from "../transport/signal-streams.js";
import type { StreamPosition } from "./subscription-position.js";
import type { SubscriptionStatus } from "./subscription-status.js";
import { SubscriptionStream } from "./subscription-stream.js";

/** What a reader is made of. */
export interface SubscriptionReaderOptions {
  readonly client: Client<typeof SignalService>;
  readonly streams: SignalStreams | undefined;
  readonly position: StreamPosition;
  /** Makes the request of a stream that starts there. */
  readonly requestFrom: (start: SubscribeRequest["start"]) => SubscribeRequest;
  readonly clock: Clock;
  readonly retry: RetryPolicy;
  /** How long to try for a new stream after one was lost, in milliseconds. */
  readonly reconnectTimeoutMs: number;
  /** How long a stream may be silent before it counts as lost, in milliseconds. */
  readonly silenceTimeoutMs: number;
  /** Ends the reader. */
  readonly signal: AbortSignal;
  readonly emit: (status: SubscriptionStatus) => void;
}

/** What has come: an item of some kind, or the end. */
type Arrival = NonNullable<SubscriptionItem["case"]> | "unknown" | "end";

/**
 * Reads a subscription's batches, over as many streams as it takes. A lost stream is replaced by one that starts at the
 * position; errors that a new stream cannot mend are thrown.
 */
export class SubscriptionReader {
  readonly #options: SubscriptionReaderOptions;
  #stream: SubscriptionStream | undefined;
  /** A batch with signals that was not taken yet. */
  #batch: SignalBatch | undefined;
  /** Attempts since a stream last got anywhere. */
  #attempts = 0;
  #lostSinceMs: number | undefined;
  #everConnected = false;

  constructor(options: SubscriptionReaderOptions) {
    this.#options = options;
  }

  /** Reads until the subscription stands. */
  async open(): Promise<void> {
    while (!this.#everConnected) {
      const arrival = await this.#readUntil(isAnything);
      if (arrival === "end") return;
      if (arrival !== "subscribed") throw notSubscribed(arrival);
    }
  }

  /**
   * Reads until there is a batch with signals, which must then be taken; resolves with another arrival at the end. The batch read before
   * must be handed out by then.
   */
  read(): Promise<Arrival> {
    return this.#readUntil(this.#hasBatch);
  }

  /** Takes the batch that was read, once. */
  takeBatch(): SignalBatch | undefined {
    const batch = this.#batch;
    this.#batch = undefined;
    return batch;
  }

  /** Cancels the open stream. */
  close(): void {
    this.#stream?.close();
    this.#stream = undefined;
  }

  readonly #hasBatch = (): boolean => this.#batch !== undefined;

  /** Reads, over new streams where one is lost, until what has come will do, or the end. One function, as `SubscriptionStream.arrived`. */
  async #readUntil(isEnough: () => boolean): Promise<Arrival> {
    for (;;) {
      try {
        const stream = this.#openStream();
        if (!(await stream.arrived())) {
          stream.ended();
          return "end";
        }
        // Unknown kinds of items pass by: what they might hide shows in the ranges.
        const arrival = this.#accept(stream.take(), stream.baseUrl);
        if (isEnough()) return arrival;
      } catch (thrown) {
        const { signal } = this.#options;
        const baseUrl = this.#stream?.baseUrl;
        this.close();
        await this.#waitToReconnect(signal.aborted ? cancelledError(signal) : errorFromConnect(thrown), baseUrl);
      }
    }
  }

  #openStream(): SubscriptionStream {
    if (this.#stream !== undefined) return this.#stream;
    const { client, streams, position, requestFrom, clock, silenceTimeoutMs, signal } = this.#options;
    // It may end while an item that had arrived is being taken: a stream that is opened after that nobody closes.
    if (signal.aborted) throw cancelledError(signal);
    position.streamOpened();
    const request = requestFrom(position.resume.start);
    this.#stream = new SubscriptionStream({ client, streams, request, clock, silenceTimeoutMs, signal });
    return this.#stream;
  }

  /** Takes note of an item; returns what it is. */
  #accept(item: SubscriptionItem, baseUrl: string | undefined): Arrival {
    const { position, emit } = this.#options;
    if (item.case !== "subscribed") this.#progress();
    switch (item.case) {
      case "subscribed":
        position.subscribed(item.value);
        emit({
          type: "connected",
          epoch: item.value.epoch,
          headSequence: item.value.headSequence,
          resumed: this.#everConnected,
          baseUrl,
        });
        this.#everConnected = true;
        break;
      case "batch": {
        const batch = position.received(item.value);
        if (batch.signals.length > 0) this.#batch = batch;
        break;
      }
      case "checkpoint": {
        position.scanned(item.value);
        const { throughSequence, cursor } = item.value;
        emit({ type: "checkpoint", throughSequence, cursor });
        break;
      }
      case "caughtUp": {
        position.caughtUp(item.value);
        const { throughSequence, cursor } = item.value;
        emit({ type: "caughtUp", throughSequence, cursor });
        break;
      }
      case undefined:
        return "unknown";
    }
    return item.case;
  }

  // Only what follows Subscribed shows that the stream works: a server may accept streams it cannot serve.
  #progress(): void {
    this.#attempts = 0;
    this.#lostSinceMs = undefined;
  }

  async #waitToReconnect(error: CoordinationClientError, baseUrl: string | undefined): Promise<void> {
    const { clock, retry, reconnectTimeoutMs, signal, emit } = this.#options;
    if (!error.retryable || signal.aborted) throw error;
    this.#attempts += 1;
    this.#lostSinceMs ??= clock.nowMs();
    const delayMs = nextAttemptDelayMs(retry, { error, attempts: this.#attempts }, clock.random());
    if (clock.nowMs() - this.#lostSinceMs + delayMs > reconnectTimeoutMs) throw error;
    emit({ type: "reconnecting", error, attempt: this.#attempts, delayMs, baseUrl });
    if (delayMs > 0) await sleep(clock, delayMs, signal);
  }
}

function isAnything(): boolean {
  return true;
}

function notSubscribed(arrival: Arrival): InternalError {
  const item = arrival === "unknown" ? "an unknown item" : arrival;
  const message = `the subscription began with ${item} instead of subscribed`;
  return new InternalError({ message, reason: "UNEXPECTED_RESPONSE", code: "INTERNAL" });
}
