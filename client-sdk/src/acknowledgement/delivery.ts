import { type Timestamp, timestampDate } from "@bufbuild/protobuf/wkt";
import {
  AckAction,
  type AcknowledgementResult,
  type Delivery as DeliveryMessage,
} from "@coordination-signals/proto/coordination/v1/acknowledgement";
import { spanFrom } from "../options/span-from.js";
import type { SignalEventCase, TypedSignal } from "../signals/typed-signal.js";
import type { Acknowledger } from "./acknowledger.js";

/** A signal that has to be acknowledged. */
export type DeliveredSignal<Case extends SignalEventCase = SignalEventCase> = TypedSignal<Case> & {
  /** What to acknowledge. */
  readonly delivery: Delivery;
};

/** How a delivery is refused. */
export interface NackOptions {
  /** How long it rests before it is delivered again, in milliseconds, up to an hour. Default: the subscription's backoff. */
  readonly delayMs?: number | undefined;
  /** Why, for people to read; the dead letter keeps the last one. At most 1,024 characters. */
  readonly reason?: string | undefined;
}

/** What became of a delivery that was refused. */
export interface NackResult {
  /** Whether it was the last attempt: the signal is a dead letter now. */
  readonly deadLettered: boolean;
  /** When it is delivered again at the earliest; `undefined` when it is not. */
  readonly availableTime: Date | undefined;
}

/** Who keeps deliveries from expiring, and is told what their consumer says of them. */
export interface DeliveryKeeper {
  /** The consumer has asked to settle it. */
  release(delivery: Delivery): void;
  /** The consumer asks to extend it now, by so many milliseconds or its deadline. The function returned is called when that was taken. */
  extending(delivery: Delivery, spanMs: number | undefined): () => void;
}

/**
 * One attempt to deliver a signal of a named subscription. Until its deadline it is this consumer's alone; what is not settled by
 * then, or when the consumer goes away, is delivered again, to any consumer.
 *
 * Each of its methods resolves once the server has made it durable, and can throw AckExpiredError (ACK_EXPIRED: it was settled
 * before or its time had passed, and nothing has changed; its metadata says in `cause` which), NotFoundError (the subscription was
 * deleted), UnavailableError, TimeoutError, CancelledError: after these three it may have been taken. Those that are called in one turn
 * travel together.
 *
 * One whose answer was lost is said again. An ack of what is acknowledged by then, and a reject of what is a dead letter by then,
 * resolve.
 */
export class Delivery {
  /** The server's name for this attempt. */
  readonly deliveryId: string;
  /** Which attempt it is, from 1. */
  readonly attempt: number;
  readonly #keeper: DeliveryKeeper | undefined;
  readonly #acknowledger: Acknowledger;
  #deadline: Date | undefined;
  #isSettled = false;

  /** Made by a subscription. */
  constructor(message: DeliveryMessage, acknowledger: Acknowledger, keeper: DeliveryKeeper | undefined) {
    this.deliveryId = message.deliveryId;
    this.attempt = message.attempt;
    this.#deadline = dateFrom(message.deadline);
    this.#acknowledger = acknowledger;
    this.#keeper = keeper;
  }

  /** Whether the signal was delivered before, to this consumer or to another one. */
  get isRedelivery(): boolean {
    return this.attempt > 1;
  }

  /** Until when it is this consumer's alone, as far as is known here; by the server's clock. */
  get deadline(): Date | undefined {
    return this.#deadline;
  }

  /** Whether `ack()`, `nack()` or `reject()` was called. */
  get isSettled(): boolean {
    return this.#isSettled;
  }

  /** It is done: it is not delivered again. */
  async ack(): Promise<void> {
    await this.#settle({ action: AckAction.ACK });
  }

  /**
   * It is not done: it is delivered again later, or, after the last attempt, becomes a dead letter. When it had to be said again because
   * its answer was lost, it can throw AckExpiredError though it was taken: what came of it is not known then, but that nobody took
   * it for done unless `cause` is `settled`.
   */
  async nack({ delayMs, reason = "" }: NackOptions = {}): Promise<NackResult> {
    const delay = delayMs === undefined ? {} : { delay: spanFrom("delayMs", delayMs) };
    const { deadLettered, availableTime } = await this.#settle({ action: AckAction.NACK, reason, ...delay });
    return { deadLettered, availableTime: dateFrom(availableTime) };
  }

  /** It cannot be done, by nobody: it becomes a dead letter now. */
  async reject(reason = ""): Promise<void> {
    await this.#settle({ action: AckAction.REJECT, reason });
  }

  /**
   * It takes longer: it stays this consumer's for so long from now, in milliseconds, up to an hour. Default: the subscription's
   * deadline. Resolves with the new deadline.
   */
  async extend(spanMs?: number): Promise<Date | undefined> {
    const delay = spanMs === undefined ? {} : { delay: spanFrom("spanMs", spanMs) };
    const taken = this.#keeper?.extending(this, spanMs);
    const { deadline } = await this.#send({ action: AckAction.EXTEND, ...delay });
    taken?.();
    this.#deadline = dateFrom(deadline);
    return this.#deadline;
  }

  async #settle(acknowledgement: Parameters<Acknowledger["send"]>[0]): Promise<AcknowledgementResult> {
    this.#isSettled = true;
    this.#keeper?.release(this);
    return this.#send(acknowledgement);
  }

  #send(acknowledgement: Parameters<Acknowledger["send"]>[0]): Promise<AcknowledgementResult> {
    return this.#acknowledger.send({ ...acknowledgement, deliveryId: this.deliveryId });
  }
}

function dateFrom(timestamp: Timestamp | undefined): Date | undefined {
  return timestamp === undefined ? undefined : timestampDate(timestamp);
}
