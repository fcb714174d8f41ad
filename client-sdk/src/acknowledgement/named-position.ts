import type { SignalBatch, Subscribed } from "@coordination-signals/proto/coordination/v1/signal_service";
import { InternalError } from "../errors/coordination-client-error.js";
import { epochChanged, type StreamPosition } from "../subscription/subscription-position.js";
import { type StreamStart, streamStartFrom } from "../subscription/subscription-start.js";
import type { Delivery } from "./delivery.js";

/** What a position tells as it moves. */
interface PositionEvents {
  /** Makes the delivery of one signal of a batch. */
  deliver(message: SignalBatch["deliveries"][number]): Delivery;
  /** Called when a stream is opened: what the one before delivered may be somebody else's. */
  onStream(): void;
}

/**
 * The position of a named subscription is the server's to know: a new stream goes on by its name. What is left to do is to put
 * deliveries beside their signals as they arrive. Ranges prove nothing here: they are what all consumers were looked for in.
 */
export class NamedPosition implements StreamPosition {
  readonly cursor = undefined;
  /** Where the subscription starts when it is made here; each stream says so again, and the server compares. */
  readonly resume: StreamStart;
  readonly #events: PositionEvents;
  #epoch: string | undefined;

  constructor(start: StreamStart | undefined, events: PositionEvents) {
    this.resume = start ?? { ...streamStartFrom("latest"), start: { case: undefined } };
    this.#events = events;
  }

  streamOpened(): void {
    this.#events.onStream();
  }

  /** Throws OutOfRangeError when the log is another one than before: what was to be delivered is gone with it. */
  subscribed({ epoch, headSequence }: Subscribed): void {
    const before = this.#epoch;
    if (before !== undefined && before !== "" && epoch !== before) throw epochChanged(before, epoch, headSequence);
    this.#epoch = epoch;
  }

  /** Gives each signal its delivery. Throws InternalError when they are not as many. */
  received(batch: SignalBatch): SignalBatch {
    const { signals, deliveries } = batch;
    if (deliveries.length !== signals.length) {
      const message = `the batch has ${deliveries.length} deliveries for ${signals.length} signals`;
      throw new InternalError({ message, reason: "UNEXPECTED_RESPONSE", code: "INTERNAL" });
    }
    for (const [index, message] of deliveries.entries()) {
      Object.assign(signals[index] as object, { delivery: this.#events.deliver(message) });
    }
    return batch;
  }

  scanned(): void {}
  handedOut(): void {}
  caughtUp(): void {}
}
