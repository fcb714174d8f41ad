import type { MetricsCollector } from "../metrics/metrics-collector.js";
import type { Clock } from "../model/clock.js";
import { CoordinationError } from "../model/coordination-error.js";
import type { LogEntry } from "../model/log-entry.js";
import { type CompiledFilter, compileSignalFilter } from "../model/signal-filter.js";
import type { CompiledTransform } from "../model/transform/signal-transform.js";
import type { LogReader } from "../state/log-reader.js";
import type { Operation } from "../state/operation.js";
import type { SessionDirectory } from "../state/session-directory.js";
import type { OpenSubscription, SessionState } from "../state/session-state.js";
import type { AcknowledgedSubscriptions } from "./acknowledged/acknowledged-subscriptions.js";
import { ConsumerStream } from "./acknowledged/consumer-stream.js";
import type { NamedRequest } from "./acknowledged/join-operation.js";
import type { LeaseClock } from "./acknowledged/lease-clock.js";
import type { DeliveryOrder } from "./reading-order.js";
import { SignalView } from "./signal-view.js";
import { type ReadingRequest, SubscriptionReading } from "./subscription-reading.js";
import type { TailItem } from "./tail-item.js";
import { Tailer } from "./tailer.js";

/** What a reader asks for. */
export interface SubscriptionRequest extends ReadingRequest {
  readonly coordinationId: string;
  readonly filter: CompiledFilter;
  /** Undefined hands signals out as they are. */
  readonly transform?: CompiledTransform | undefined;
  /** Default "sequence". */
  readonly order?: DeliveryOrder | undefined;
  readonly checkpointIntervalMs: number;
  /** The named subscription that it joins; undefined is a reader for itself. The filter and so on are then as this says. */
  readonly named?: NamedRequest | undefined;
}

/** What the subscriptions work with. */
export interface SubscriptionsOptions {
  readonly directory: SessionDirectory;
  readonly reader: LogReader;
  readonly clock: Clock;
  readonly metrics: MetricsCollector;
  readonly maxSubscriptions: number;
  readonly acknowledged: AcknowledgedSubscriptions;
  readonly leaseClock: LeaseClock;
  /** What the server makes of every signal that it hands out; undefined leaves them as they are. */
  readonly outgoing?: CompiledTransform | undefined;
}

interface OpenedSubscription {
  readonly session: SessionState;
  readonly subscription: OpenSubscription;
  readonly reading: SubscriptionReading;
  /** Frees what it holds; safe to repeat. */
  readonly release: () => void;
}

/** The subscriptions that are open on this server: each has its own position and knows nothing of the others. */
export class Subscriptions {
  readonly #options: SubscriptionsOptions;
  #openCount = 0;
  #isDraining = false;

  constructor(options: SubscriptionsOptions) {
    this.#options = options;
  }

  get openCount(): number {
    return this.#openCount;
  }

  /**
   * Opens a subscription and yields its items until the reader leaves (`abort`), the coordination ends or the server stops.
   * Whatever ends it, all it holds is freed when `abort` fires, even if nobody asks for the next item any more.
   */
  async *subscribe(request: SubscriptionRequest, abort: AbortSignal): AsyncGenerator<TailItem, void, undefined> {
    const { session, subscription, reading, release } = await this.#open(request, abort);
    try {
      if (request.named !== undefined) {
        yield* this.#consume({ request, named: request.named, session, subscription, abort });
        return;
      }
      const tailer = new Tailer({
        session,
        reader: this.#options.reader,
        clock: this.#options.clock,
        start: request.start,
        order: request.order ?? "sequence",
        interest: { agentId: request.agentId, typeMask: request.filter.typeMask, includeOwn: request.includeOwn },
        filter: request.filter,
        view: new SignalView({ outgoing: this.#options.outgoing, ...request }),
        checkpointIntervalMs: request.checkpointIntervalMs,
        abort,
        isDraining: () => this.#isDraining,
        subscription,
        whenVisible: () => this.#options.directory.execute(request.coordinationId, nothing),
        onBegun: (startSequence) => reading.begin(startSequence),
        onDelivered: (entries, liveSinceMs) => {
          reading.delivered(entries, subscription.positionSequence);
          this.#count(session, request.agentId, entries, liveSinceMs);
        },
      });
      yield* tailer.items();
    } finally {
      release();
    }
  }

  /** As one more consumer of a named subscription. What it has not settled is taken back whatever ends it. */
  async *#consume({
    request,
    named,
    session,
    subscription,
    abort,
  }: {
    readonly request: SubscriptionRequest;
    readonly named: NamedRequest;
    readonly session: SessionState;
    readonly subscription: OpenSubscription;
    readonly abort: AbortSignal;
  }): AsyncGenerator<TailItem, void, undefined> {
    const { acknowledged, outgoing, leaseClock } = this.#options;
    const { dispatcher, consumer, matcher, leave } = await acknowledged.join(session, named);
    const leaveOnce = (): void => {
      abort.removeEventListener("abort", leaveOnce);
      leave();
    };
    if (abort.aborted) return leaveOnce();
    abort.addEventListener("abort", leaveOnce);
    try {
      const stream = new ConsumerStream({
        session,
        dispatcher,
        consumer,
        matcher,
        clock: leaseClock,
        view: new SignalView({ outgoing, transform: request.transform, filter: compileSignalFilter(undefined) }),
        checkpointIntervalMs: request.checkpointIntervalMs,
        abort,
        isDraining: () => this.#isDraining,
        subscription,
        onDelivered: (entries, liveSinceMs) => this.#count(session, request.agentId, entries, liveSinceMs),
      });
      yield* stream.items();
    } finally {
      leaveOnce();
    }
  }

  /** Makes every open subscription report its position and end with SHUTTING_DOWN. */
  drain(): void {
    this.#isDraining = true;
    for (const session of this.#options.directory.residents()) session.readers.wakeAll();
  }

  async #open(request: SubscriptionRequest, abort: AbortSignal): Promise<OpenedSubscription> {
    const { directory, metrics, clock, maxSubscriptions } = this.#options;
    if (this.#openCount >= maxSubscriptions) throw tooManySubscriptions(maxSubscriptions);
    this.#openCount += 1;
    metrics.subscriptionOpened();
    const session = await this.#pin(request.coordinationId);
    const subscription: OpenSubscription = { agentId: request.agentId, positionSequence: 0n };
    const reading = new SubscriptionReading({ session, request, clock });
    session.subscriptions.add(subscription);
    if (request.agentId !== "") session.activity.subscriptionOpened(request.agentId);
    const release = (): void => {
      if (!session.subscriptions.delete(subscription)) return;
      abort.removeEventListener("abort", release);
      reading.end();
      if (request.agentId !== "") session.activity.subscriptionClosed(request.agentId);
      if (session.agents.has(request.agentId)) session.activity.note(request.agentId, clock.nowMs(), false);
      this.#close();
      directory.unpin(session);
    };
    if (abort.aborted) release();
    else abort.addEventListener("abort", release);
    return { session, subscription, reading, release };
  }

  async #pin(coordinationId: string): Promise<SessionState> {
    try {
      return await this.#options.directory.pinCurrent(coordinationId);
    } catch (error) {
      this.#close();
      throw error;
    }
  }

  #close(): void {
    this.#openCount -= 1;
    this.#options.metrics.subscriptionClosed();
  }

  #count(session: SessionState, agentId: string, entries: readonly LogEntry[], liveSinceMs: number | undefined): void {
    const { metrics, clock } = this.#options;
    if (entries.length === 0) return;
    const nowMs = clock.monotonicMs();
    metrics.deliveryBatch(entries.length);
    // Signals of one commit were accepted at one time, and most are of one type: they are counted at once.
    for (let first = 0, next = 0; first < entries.length; first = next) {
      const {
        acceptedAtMs,
        facts: { type },
      } = entries[first] as LogEntry;
      do next += 1;
      while (entries[next]?.acceptedAtMs === acceptedAtMs && entries[next]?.facts.type === type);
      // History that is read after the fact says nothing about how fast signals travel.
      const isLive = acceptedAtMs !== undefined && liveSinceMs !== undefined && acceptedAtMs >= liveSinceMs;
      const propagationMs = isLive ? nowMs - acceptedAtMs : undefined;
      session.metrics.count(agentId, type, next - first, propagationMs);
      metrics.signalReceived(type, next - first);
      if (propagationMs !== undefined) metrics.propagation(propagationMs, next - first);
    }
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
