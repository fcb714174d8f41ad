import type { Caller } from "../calls/caller.js";
import { type OpenResource, OpenResources } from "../open-resources.js";
import type { SignalEventCase } from "../signals/typed-signal.js";
import { Subscription, type SubscriptionEnvironment } from "../subscription/subscription.js";
import type { SubscriptionStatus } from "../subscription/subscription-status.js";
import { Acknowledger } from "./acknowledger.js";
import { type DeliveredSignal, Delivery } from "./delivery.js";
import {
  type AcknowledgedSubscribeOptions,
  acknowledgedRequests,
  durableStartFrom,
} from "./durable-subscription-options.js";
import type { LeaseKeeper } from "./lease-keeper.js";
import { NamedPosition } from "./named-position.js";

/** What an acknowledged subscription needs from its session. */
export interface AcknowledgedEnvironment extends Omit<SubscriptionEnvironment, "named"> {
  readonly caller: Caller;
  /** How long closing waits for the answers of acknowledgements, in milliseconds. */
  readonly closeTimeoutMs: number;
  /** Keeps deliveries from expiring until they are settled; without one, that is the consumer's to do. */
  readonly leases?: LeaseKeeper | undefined;
}

/**
 * One consumer of a named, durable subscription: the server knows how far it is and who has what, and its consumers share the
 * signals. Each comes with its `delivery`, and again, to any consumer, until one acknowledges it; in sequence order but for what
 * is delivered again, or with `order: "priority"` the most urgent first.
 *
 * It is read by `for await`, once, by one reader, and ends as a Subscription does. After a lost connection it goes on by its
 * name: what it had not settled comes again. Closing it first waits for the answers of acknowledgements; what is not settled
 * then is delivered again at once, and has had one attempt more.
 */
export class AcknowledgedSubscription<Case extends SignalEventCase = SignalEventCase>
  implements AsyncIterableIterator<DeliveredSignal<Case>>, AsyncDisposable, OpenResource
{
  readonly #subscription: Subscription<Case>;
  readonly #acknowledger: Acknowledger;

  /** Made by `session.subscribe()` with a name. */
  constructor(environment: AcknowledgedEnvironment, options: AcknowledgedSubscribeOptions<Case>) {
    const { open, leases } = environment;
    const { subscription, ack: _, from: __, onStatus, signal, ...others } = options;
    const requestFrom = acknowledgedRequests(environment, options);
    const acknowledger = new Acknowledger({ ...environment, subscription });
    const position = new NamedPosition(durableStartFrom(options), {
      deliver: (message) => {
        const delivery = new Delivery(message, acknowledger, leases);
        leases?.keep(delivery);
        return delivery;
      },
      onStream: () => leases?.loseAll(),
    });
    this.#acknowledger = acknowledger;
    // It is this object that is closed with its owner: acknowledgements are answered before the stream goes.
    const inner = { ...environment, open: new OpenResources(), named: { position, requestFrom, signal } };
    open.add(this);
    const onAbort = () => void this.close();
    signal?.addEventListener("abort", onAbort, { once: true });
    this.#subscription = new Subscription<Case>(inner, {
      ...others,
      // Closing it waits for acknowledgements; one that has not begun has none.
      signal: signal?.aborted === true ? signal : undefined,
      onStatus: (status) => {
        if (status.type === "closed") {
          signal?.removeEventListener("abort", onAbort);
          open.remove(this);
          leases?.loseAll();
        }
        onStatus?.(status);
      },
    });
  }

  /** Resolves once the subscription stands. Rejects when it ends before. */
  ready(): Promise<void> {
    return this.#subscription.ready();
  }

  /** Reads status events from now on, as those of a Subscription; their cursors are empty. */
  status(): AsyncIterableIterator<SubscriptionStatus> {
    return this.#subscription.status();
  }

  /** Reads the next signal. */
  next(): Promise<IteratorResult<DeliveredSignal<Case>, undefined>> {
    // NamedPosition has put the deliveries beside the signals.
    return this.#subscription.next() as Promise<IteratorResult<DeliveredSignal<Case>, undefined>>;
  }

  /** Ends the subscription; `break` calls it. */
  async return(): Promise<IteratorResult<DeliveredSignal<Case>, undefined>> {
    await this.close();
    return { done: true, value: undefined };
  }

  /** Waits for the answers of acknowledgements, at most `closeTimeoutMs` of the client, then ends the subscription: the iteration ends without an error. Never rejects. */
  async close(): Promise<void> {
    await this.#acknowledger.close();
    await this.#subscription.close();
  }

  [Symbol.asyncIterator](): this {
    return this;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close();
  }
}
