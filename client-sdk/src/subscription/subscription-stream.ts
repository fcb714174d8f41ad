import type { Client } from "@connectrpc/connect";
import type { SignalService, SubscribeRequest } from "@coordination-signals/proto/coordination/v1/signal_service";
import { cancelledError } from "../errors/cancelled-error.js";
import { UnavailableError } from "../errors/coordination-client-error.js";
import type { Clock } from "../time/clock.js";
import { requestRoute } from "../transport/call-route.js";
import type { ItemStream, SignalStreams, SubscriptionItem } from "../transport/signal-streams.js";
import { ConnectItemStream } from "./connect-item-stream.js";
import { SilenceTimer } from "./silence-timer.js";

/** What one stream is opened with. */
export interface SubscriptionStreamOptions {
  readonly client: Client<typeof SignalService>;
  /** Used in the place of `client` where the transport has them. */
  readonly streams: SignalStreams | undefined;
  readonly request: SubscribeRequest;
  readonly clock: Clock;
  /** How long a read may bring nothing before the connection counts as dead, in milliseconds. */
  readonly silenceTimeoutMs: number;
  /** Aborted when nobody wants the items any more. Whoever aborts it closes the stream. */
  readonly signal: AbortSignal;
}

/**
 * One stream of a subscription, read item by item: nothing is read ahead, so that a slow consumer slows the server down by
 * the transport's flow control. Whoever opens a stream must close it.
 */
export class SubscriptionStream {
  readonly #signal: AbortSignal;
  readonly #silence: SilenceTimer;
  readonly #items: ItemStream;
  /** The address it is read from; `undefined` with a transport that does not tell. */
  readonly baseUrl: string | undefined;

  constructor({ client, streams, request, clock, silenceTimeoutMs, signal }: SubscriptionStreamOptions) {
    const routing = requestRoute();
    const { contextValues } = routing;
    this.#signal = signal;
    this.#items =
      streams === undefined
        ? new ConnectItemStream(client, request, contextValues)
        : streams.subscribe(request, { contextValues });
    this.baseUrl = routing.route?.baseUrl;
    this.#silence = new SilenceTimer(clock, silenceTimeoutMs, () => {
      routing.route?.leave();
      this.#items.cancel(silenceError(silenceTimeoutMs));
    });
  }

  /**
   * Waits for the next item, which must then be taken; resolves with false when the server has ended the stream well. Rejects
   * with what ended it otherwise.
   */
  arrived(): Promise<boolean> {
    this.#silence.begin();
    // No async function: while a subscription waits, and most do most of the time, all it awaits is kept.
    return this.#items.arrived();
  }

  /** Takes the item that has arrived, once. Throws when it cannot be decoded. */
  take(): SubscriptionItem {
    this.#silence.end();
    return this.#items.take();
  }

  /** Notes that the server has ended the stream: nobody waits any more. */
  ended(): void {
    this.#silence.stop();
  }

  /** Cancels the stream at the server and frees it. */
  close(): void {
    this.#silence.stop();
    this.#items.cancel(cancelledError(this.#signal));
  }
}

function silenceError(silenceTimeoutMs: number): UnavailableError {
  return new UnavailableError({
    message: `connection lost: the subscription was silent for ${silenceTimeoutMs} ms`,
    reason: "CONNECTION_LOST",
    code: "UNAVAILABLE",
  });
}
