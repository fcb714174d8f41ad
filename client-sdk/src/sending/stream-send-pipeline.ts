import { clientClosedError } from "../errors/cancelled-error.js";
import type { OpenResource, OpenResources } from "../open-resources.js";
import type { Clock } from "../time/clock.js";
import type { OpenBatchChannel } from "./batch-channel.js";
import type { Delivery, OutgoingBatch, SendPipeline } from "./send-pipeline.js";
import { SendStream } from "./send-stream.js";

/** What a pipeline over streams is made of. */
export interface StreamSendPipelineOptions {
  readonly openChannel: OpenBatchChannel;
  readonly clock: Clock;
  /** As in `SendPipeline`. */
  readonly afterTurn: SendPipeline["afterTurn"];
  /** How long the answer to one batch may take, in milliseconds. */
  readonly timeoutMs: number;
  /** How long closing waits for the stream to end, in milliseconds. */
  readonly closeTimeoutMs: number;
  /** Knows the pipeline while it has a stream. */
  readonly open: OpenResources;
  /** Delivers batches where the server takes no streams of them. */
  readonly fallback: SendPipeline;
  /** What is known of the server; shared by all pipelines to it. */
  readonly support: StreamSupport;
}

/** Whether a server takes streams of batches; it does until it says that it does not. */
export interface StreamSupport {
  isRefused: boolean;
}

/** Batches on their way at once: one commit runs, one fills, and the network is never waited for. */
const batchesInFlight = 4;
/**
 * Signals in one batch. While the server stores one, the client can prepare the next and handle the answers to the one before:
 * all that is there in a single batch would leave one of them idle while the other works.
 */
const streamBatchSignals = 256;
/** How long a stream stays open while nothing is sent, in milliseconds: it costs the server memory. */
const idleTimeoutMs = 5_000;

/**
 * Delivers batches on one stream that stays open, several at once: the server takes them in their order and answers in it.
 * A server older than such streams gets the batches by the fallback.
 */
export class StreamSendPipeline implements SendPipeline, OpenResource {
  readonly #options: StreamSendPipelineOptions;
  /** The stream that the next batch goes to. */
  #stream: SendStream | undefined;
  /** Streams that have not ended. */
  readonly #streams = new Set<SendStream>();
  #isClosing = false;

  constructor(options: StreamSendPipelineOptions) {
    this.#options = options;
  }

  get maxBatchesInFlight(): number {
    const { support, fallback } = this.#options;
    return support.isRefused ? fallback.maxBatchesInFlight : batchesInFlight;
  }

  get maxBatchSignals(): number {
    const { support, fallback } = this.#options;
    return support.isRefused ? fallback.maxBatchSignals : streamBatchSignals;
  }

  get afterTurn(): SendPipeline["afterTurn"] {
    return this.#options.afterTurn;
  }

  deliver(batch: OutgoingBatch): Delivery {
    const { support, fallback } = this.#options;
    if (support.isRefused) return fallback.deliver(batch);
    this.#stream ??= this.#openStream();
    return this.#stream.send(batch);
  }

  /** Ends the streams once they are answered, at most after `closeTimeoutMs`. */
  async close(): Promise<void> {
    this.#isClosing = true;
    const streams = [...this.#streams];
    const { clock, closeTimeoutMs } = this.#options;
    const cancelTimer = clock.startTimer(closeTimeoutMs, () => {
      for (const stream of streams) stream.cancel(clientClosedError());
    });
    for (const stream of streams) stream.close();
    await Promise.all(streams.map(({ ended }) => ended));
    cancelTimer();
  }

  #openStream(): SendStream {
    const { open, support } = this.#options;
    const stream: SendStream = new SendStream({
      ...this.#options,
      idleTimeoutMs,
      onRetired: () => {
        if (this.#stream === stream) this.#stream = undefined;
      },
      onEnded: () => {
        this.#streams.delete(stream);
        if (this.#streams.size === 0) open.remove(this);
      },
      onUnimplemented: () => {
        support.isRefused = true;
      },
    });
    this.#streams.add(stream);
    open.add(this);
    // What waits when the session is closed is still sent.
    if (this.#isClosing) stream.close();
    return stream;
  }
}
