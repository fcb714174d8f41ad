import { compileSignalFilter } from "../../model/signal-filter.js";
import type { CompiledTransform } from "../../model/transform/signal-transform.js";
import type { SessionState } from "../../state/session-state.js";
import type { ItemSink, PumpedReader } from "../item-sink.js";
import { SignalView } from "../signal-view.js";
import type { AcknowledgedSubscriptions } from "./acknowledged-subscriptions.js";
import { ConsumerStream, type ConsumerStreamOptions } from "./consumer-stream.js";
import type { NamedRequest } from "./join-operation.js";

/** What a consumer's reader works with. */
export interface ConsumerReaderOptions
  extends Pick<
    ConsumerStreamOptions,
    "session" | "clock" | "checkpointIntervalMs" | "isDraining" | "subscription" | "onDelivered"
  > {
  readonly acknowledged: AcknowledgedSubscriptions;
  readonly named: NamedRequest;
  readonly session: SessionState;
  readonly sink: ItemSink;
  readonly outgoing: CompiledTransform | undefined;
  readonly transform: CompiledTransform | undefined;
}

/** One more consumer of a named subscription: writes what its stream yields. */
export class ConsumerReader implements PumpedReader {
  readonly #options: ConsumerReaderOptions;
  readonly #abort = new AbortController();
  #wake: (() => void) | undefined;

  constructor(options: ConsumerReaderOptions) {
    this.#options = options;
  }

  resume(): void {
    this.#wake?.();
  }

  leave(): void {
    this.#abort.abort();
    this.#wake?.();
  }

  /** Joins and reads until nothing more can come or it has left. What it has not settled is taken back whatever ends it. */
  async run(): Promise<void> {
    const { acknowledged, session, named, transform, outgoing, ...options } = this.#options;
    const { signal } = this.#abort;
    const { dispatcher, consumer, matcher, leave } = await acknowledged.join(session, named);
    const leaveOnce = (): void => {
      signal.removeEventListener("abort", leaveOnce);
      leave();
    };
    if (signal.aborted) return leaveOnce();
    signal.addEventListener("abort", leaveOnce);
    const view = new SignalView({ outgoing, transform, filter: compileSignalFilter(undefined) });
    try {
      await this.#write(
        new ConsumerStream({ ...options, session, dispatcher, consumer, matcher, view, abort: signal }),
      );
    } finally {
      leaveOnce();
    }
  }

  /** Writes the stream's items; takes the next when the connection has taken the last. */
  async #write(stream: ConsumerStream): Promise<void> {
    const { sink } = this.#options;
    for await (const item of stream.items()) {
      if (this.#abort.signal.aborted) return;
      sink.write(item);
      while (!sink.isReady && !this.#abort.signal.aborted) await this.#resumed();
    }
  }

  #resumed(): Promise<void> {
    return new Promise((resolve) => {
      this.#wake = resolve;
    });
  }
}
