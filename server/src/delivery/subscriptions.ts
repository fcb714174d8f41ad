import { CoordinationError } from "../model/coordination-error.js";
import type { Operation } from "../state/operation.js";
import type { ItemSink, PumpedReader } from "./item-sink.js";
import { SharedCursor } from "./shared-cursor.js";
import { Subscription, type SubscriptionEnvironment, type SubscriptionRequest } from "./subscription.js";
import { WakeRound } from "./wake-round.js";

/** What the subscriptions work with. */
export interface SubscriptionsOptions
  extends Omit<SubscriptionEnvironment, "round" | "cursor" | "isDraining" | "whenVisible" | "closed"> {
  readonly maxSubscriptions: number;
}

/** The subscriptions that are open on this server: each has its own position and knows nothing of the others. */
export class Subscriptions {
  readonly #options: SubscriptionsOptions;
  readonly #environment: SubscriptionEnvironment;
  #openCount = 0;
  #isDraining = false;

  constructor(options: SubscriptionsOptions) {
    const { directory, metrics, clock, reader, acknowledged, leaseClock, outgoing } = options;
    this.#options = options;
    this.#environment = {
      directory,
      metrics,
      clock,
      reader,
      acknowledged,
      leaseClock,
      outgoing,
      round: new WakeRound(),
      cursor: new SharedCursor(),
      isDraining: () => this.#isDraining,
      whenVisible: (coordinationId) => directory.execute(coordinationId, nothing),
      closed: () => {
        this.#openCount -= 1;
        metrics.subscriptionClosed();
      },
    };
  }

  get openCount(): number {
    return this.#openCount;
  }

  /**
   * Opens a subscription, whose items the sink gets until the reader leaves, the coordination ends or the server stops. Throws
   * TOO_MANY_SUBSCRIPTIONS; what else is wrong with it the sink is told.
   */
  open(request: SubscriptionRequest, sink: ItemSink): PumpedReader {
    const { metrics, maxSubscriptions } = this.#options;
    if (this.#openCount >= maxSubscriptions) throw tooManySubscriptions(maxSubscriptions);
    this.#openCount += 1;
    metrics.subscriptionOpened();
    const subscription = new Subscription(this.#environment, request.agentId, sink);
    void subscription.start(request);
    return subscription;
  }

  /** Makes every open subscription report its position and end with SHUTTING_DOWN. */
  drain(): void {
    this.#isDraining = true;
    for (const session of this.#options.directory.residents()) session.readers.wakeAll();
  }
}

/** Waits for its turn, which comes when everything accepted before is visible. */
const nothing: Operation<void> = { requestKeys: [], signalCount: 0, run: () => undefined };

function tooManySubscriptions(limit: number): CoordinationError {
  return new CoordinationError(
    "TOO_MANY_SUBSCRIPTIONS",
    `${limit} subscriptions are open, which is the server's limit`,
    {
      metadata: { limit: String(limit) },
    },
  );
}
