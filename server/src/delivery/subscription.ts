import type { MetricsCollector } from "../metrics/metrics-collector.js";
import type { LogEntry } from "../model/log-entry.js";
import type { CompiledFilter } from "../model/signal-filter.js";
import type { CompiledTransform } from "../model/transform/signal-transform.js";
import type { SessionDirectory } from "../state/session-directory.js";
import type { OpenSubscription, SessionState } from "../state/session-state.js";
import type { AcknowledgedSubscriptions } from "./acknowledged/acknowledged-subscriptions.js";
import { ConsumerReader } from "./acknowledged/consumer-reader.js";
import type { NamedRequest } from "./acknowledged/join-operation.js";
import type { LeaseClock } from "./acknowledged/lease-clock.js";
import type { ItemSink, PumpedReader } from "./item-sink.js";
import type { DeliveryOrder } from "./reading-order.js";
import { SignalView } from "./signal-view.js";
import { type ReadingRequest, SubscriptionReading } from "./subscription-reading.js";
import { type TailEnvironment, Tailer, type TailOwner } from "./tailer.js";

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

/** What all subscriptions of a server share. */
export interface SubscriptionEnvironment extends TailEnvironment {
  readonly directory: SessionDirectory;
  readonly metrics: MetricsCollector;
  readonly acknowledged: AcknowledgedSubscriptions;
  readonly leaseClock: LeaseClock;
  /** What the server makes of every signal that it hands out; undefined leaves them as they are. */
  readonly outgoing: CompiledTransform | undefined;
  /** Called once for each subscription when it has closed. */
  closed(): void;
}

/** One open subscription: what is read for it, where it is, and what has to be freed when it ends. */
export class Subscription implements PumpedReader, OpenSubscription, TailOwner {
  readonly agentId: string;
  positionSequence = 0n;
  readonly #environment: SubscriptionEnvironment;
  readonly #sink: ItemSink;
  #session: SessionState | undefined;
  readonly #reading: SubscriptionReading;
  #reader: PumpedReader | undefined;
  #isOpen = true;

  constructor(environment: SubscriptionEnvironment, agentId: string, sink: ItemSink) {
    this.agentId = agentId;
    this.#environment = environment;
    this.#sink = sink;
    this.#reading = new SubscriptionReading(agentId, environment.clock);
  }

  /** Begins to read; whatever fails, the sink is told. */
  async start(request: SubscriptionRequest): Promise<void> {
    const { directory } = this.#environment;
    try {
      const session = await directory.pinCurrent(request.coordinationId);
      if (!this.#isOpen) return directory.unpin(session);
      this.#enter(session);
      await (request.named === undefined ? this.#tail(session, request) : this.#consume(session, request));
    } catch (error) {
      this.failed(error);
    }
  }

  resume(): void {
    this.#reader?.resume();
  }

  leave(): void {
    if (!this.#isOpen) return;
    this.#isOpen = false;
    this.#reader?.leave();
    if (this.#session !== undefined) this.#exit(this.#session);
    this.#environment.closed();
  }

  delivered(entries: readonly LogEntry[], liveSinceMs: number | undefined): void {
    this.#reading.delivered(entries, this.positionSequence);
    this.#count(entries, liveSinceMs);
  }

  ended(): void {
    if (!this.#isOpen) return;
    this.leave();
    this.#sink.end();
  }

  failed(error: unknown): void {
    if (!this.#isOpen) return;
    this.leave();
    this.#sink.fail(error);
  }

  #enter(session: SessionState): void {
    this.#session = session;
    session.subscriptions.add(this);
    if (this.agentId !== "") session.activity.subscriptionOpened(this.agentId);
  }

  #exit(session: SessionState): void {
    const { directory, clock } = this.#environment;
    session.subscriptions.delete(this);
    this.#reading.end();
    if (this.agentId !== "") session.activity.subscriptionClosed(this.agentId);
    // Closing what it read is no sign of life of an agent that has deregistered.
    if (session.agents.get(this.agentId)?.isRegistered) session.activity.note(this.agentId, clock.nowMs(), false);
    directory.unpin(session);
  }

  /** As a reader for itself. */
  async #tail(session: SessionState, request: SubscriptionRequest): Promise<void> {
    const { agentId, filter, includeOwn, transform, start } = request;
    const tailer = new Tailer({
      environment: this.#environment,
      session,
      owner: this,
      sink: this.#sink,
      start,
      order: request.order ?? "sequence",
      interest: { agentId, typeMask: filter.typeMask, includeOwn },
      filter,
      view: new SignalView({ outgoing: this.#environment.outgoing, filter, transform }),
      checkpointIntervalMs: request.checkpointIntervalMs,
    });
    this.#reader = tailer;
    await tailer.begin(start, (startSequence) => this.#reading.begin(session, request, startSequence));
  }

  /** As one more consumer of a named subscription. */
  async #consume(session: SessionState, request: SubscriptionRequest): Promise<void> {
    const { acknowledged, outgoing, leaseClock, isDraining } = this.#environment;
    if (request.named === undefined) return;
    const reader = new ConsumerReader({
      acknowledged,
      named: request.named,
      session,
      sink: this.#sink,
      outgoing,
      transform: request.transform,
      clock: leaseClock,
      checkpointIntervalMs: request.checkpointIntervalMs,
      isDraining,
      subscription: this,
      onDelivered: (entries, liveSinceMs) => this.#count(entries, liveSinceMs),
    });
    this.#reader = reader;
    await reader.run();
    this.ended();
  }

  #count(entries: readonly LogEntry[], liveSinceMs: number | undefined): void {
    const { metrics, clock } = this.#environment;
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
      this.#session?.metrics.count(this.agentId, type, next - first, propagationMs);
      metrics.signalReceived(type, next - first);
      if (propagationMs !== undefined) metrics.propagation(propagationMs, next - first);
    }
  }
}
