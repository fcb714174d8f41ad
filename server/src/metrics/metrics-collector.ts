import type { SignalType } from "@coordination-signals/proto/coordination/v1/signal";
import { Counter, collectDefaultMetrics, Gauge, Registry } from "prom-client";
import { BucketHistogram } from "./bucket-histogram.js";
import { SignalTypeCounter } from "./signal-type-counter.js";

/** 100 microseconds to 10 seconds, and a bound at the 100 ms that a propagation shall never take. */
const secondsBounds = [0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10];
const batchBounds = [1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024, 2048];
const unknownProcedure = "unknown";

/** How an attempt to deliver a signal ended, or that an acknowledgement of it was refused. */
export type DeliveryOutcome = "acknowledged" | "refused" | "rejected" | "expired" | "released" | "invalid";

type DeadLetterCause = "maxAttempts" | "rejected" | "retention" | "filterBudget";

const deadLetterReasons: Readonly<Record<DeadLetterCause, string>> = {
  maxAttempts: "max_attempts",
  rejected: "rejected",
  retention: "retention",
  filterBudget: "filter_budget",
};

/** What a collector counts beside the signals. */
export interface MetricsCollectorOptions {
  /**
   * Names the label `method` may have, for example `coordination.v1.SignalService/SendSignal`. Calls of anything else
   * are counted as `unknown`, so that a client cannot make labels. Default: none.
   */
  readonly procedures?: readonly string[];
  /** Whether to export the process' own metrics (memory, event loop lag, garbage collection). Default: true. */
  readonly processMetrics?: boolean;
}

/** One answer to a scrape. */
export interface RenderedMetrics {
  /** Value of the `content-type` header. */
  readonly contentType: string;
  /** Every metric in Prometheus' text format. */
  readonly body: string;
}

/**
 * Every instrument of the process, in one place. Names begin with `coordination_`, except the process' own metrics, which
 * keep the names that dashboards know (`process_`, `nodejs_`). No label names a coordination or an
 * agent: their numbers are unbounded, and their figures are in `GetSignalMetrics`.
 *
 * | of the origin               | here                                                                |
 * |-----------------------------|---------------------------------------------------------------------|
 * | `signal_propagation_time_ms`| `coordination_signal_propagation_seconds` (base unit, as Prometheus asks) |
 * | `signals_sent`              | `coordination_signals_sent_total{signal_type}`                      |
 * | `signals_received`          | `coordination_signals_received_total{signal_type}`                  |
 */
export class MetricsCollector {
  readonly #registry = new Registry();
  readonly #sent: SignalTypeCounter;
  readonly #received: SignalTypeCounter;
  readonly #propagation = new BucketHistogram({
    name: "coordination_signal_propagation_seconds",
    help: "Time from the acceptance of a signal to its hand-over to a subscriber's connection.",
    bounds: secondsBounds,
  });
  readonly #storeCommit = new BucketHistogram({
    name: "coordination_store_commit_seconds",
    help: "Time the store took to make one commit durable.",
    bounds: secondsBounds,
  });
  readonly #commitBatch = new BucketHistogram({
    name: "coordination_commit_batch_signals",
    help: "Signals in one commit.",
    bounds: batchBounds,
  });
  readonly #deliveryBatch = new BucketHistogram({
    name: "coordination_delivery_batch_signals",
    help: "Signals in one batch to a subscriber.",
    bounds: batchBounds,
  });
  readonly #procedures: ReadonlySet<string>;
  readonly #deliveries: Counter<"attempt">;
  readonly #deliveryEnds: Counter<"outcome">;
  readonly #deadLetters: Counter<"reason">;
  readonly #errors: Counter<"reason">;
  readonly #calls: Counter<"method" | "code">;
  readonly #activeSubscriptions: Gauge;
  readonly #openWaits: Gauge;
  readonly #coordinations: Gauge;
  readonly #residentCoordinations: Gauge;
  readonly #connections: Gauge;
  readonly #openStreams: Gauge;

  constructor({ procedures = [], processMetrics = true }: MetricsCollectorOptions = {}) {
    const registers = [this.#registry];
    this.#procedures = new Set(procedures);
    this.#sent = new SignalTypeCounter("coordination_signals_sent_total", "Signals stored.", this.#registry);
    this.#received = new SignalTypeCounter(
      "coordination_signals_received_total",
      "Signals handed to subscribers, counted once per subscription.",
      this.#registry,
    );
    this.#deliveries = new Counter({
      name: "coordination_deliveries_total",
      help: "Signals handed to consumers of named subscriptions, by whether it was the first attempt.",
      labelNames: ["attempt"],
      registers,
    });
    this.#deliveryEnds = new Counter({
      name: "coordination_delivery_outcomes_total",
      help: "How attempts to deliver signals to consumers of named subscriptions ended.",
      labelNames: ["outcome"],
      registers,
    });
    this.#deadLetters = new Counter({
      name: "coordination_dead_letters_total",
      help: "Signals that named subscriptions gave up delivering.",
      labelNames: ["reason"],
      registers,
    });
    this.#errors = new Counter({
      name: "coordination_errors_total",
      help: "Calls and streams that ended with an error.",
      labelNames: ["reason"],
      registers,
    });
    this.#calls = new Counter({
      name: "coordination_calls_total",
      help: "Calls that ended.",
      labelNames: ["method", "code"],
      registers,
    });
    this.#activeSubscriptions = this.#gauge("coordination_active_subscriptions", "Open subscriptions.");
    this.#openWaits = this.#gauge(
      "coordination_open_waits",
      "Calls that wait for conditions, a reply or acknowledgements.",
    );
    this.#coordinations = this.#gauge("coordination_coordinations", "Coordinations that exist.");
    this.#residentCoordinations = this.#gauge(
      "coordination_resident_coordinations",
      "Coordinations in memory: those in use, and the idle ones used last.",
    );
    this.#connections = this.#gauge("coordination_connections", "Open connections.");
    this.#openStreams = this.#gauge("coordination_open_streams", "Calls that have begun and not ended.");
    if (processMetrics) {
      collectDefaultMetrics({ register: this.#registry });
    }
  }

  /** Counts signals of one type that were stored. */
  signalSent(type: SignalType, count: number): void {
    this.#sent.add(type, count);
  }

  /** Counts signals of one type that were handed to one subscription. */
  signalReceived(type: SignalType, count: number): void {
    this.#received.add(type, count);
  }

  /** Records how long each of some signals took from its acceptance to its hand-over to one subscriber's connection. */
  propagation(milliseconds: number, signals: number): void {
    this.#propagation.add(milliseconds / 1000, signals);
  }

  /** Records one commit: how long it took to become durable, and how many signals it held. */
  storeCommit(milliseconds: number, signals: number): void {
    this.#storeCommit.add(milliseconds / 1000);
    this.#commitBatch.add(signals);
  }

  /** Records how many signals one batch to a subscriber held. */
  deliveryBatch(signals: number): void {
    this.#deliveryBatch.add(signals);
  }

  /** Counts signals that were handed to a consumer of a named subscription, some of them not for the first time. */
  deliveriesMade(count: number, redelivered: number): void {
    if (count > redelivered) this.#deliveries.inc({ attempt: "first" }, count - redelivered);
    if (redelivered > 0) this.#deliveries.inc({ attempt: "repeated" }, redelivered);
  }

  /** Counts attempts to deliver that ended. */
  deliveriesEnded(outcome: DeliveryOutcome, count: number): void {
    if (count > 0) this.#deliveryEnds.inc({ outcome }, count);
  }

  /** Counts signals that a named subscription gave up delivering. */
  deadLettersMade(reason: DeadLetterCause, count: number): void {
    if (count > 0) this.#deadLetters.inc({ reason: deadLetterReasons[reason] }, count);
  }

  /** Counts one call or stream that ended with an error; `reason` is one of the contract's, or of the few that the port has. */
  error(reason: string): void {
    this.#errors.inc({ reason });
  }

  /** A subscription began. Every call is followed by one of `subscriptionClosed`. */
  subscriptionOpened(): void {
    this.#activeSubscriptions.inc();
  }

  /** A subscription ended. */
  subscriptionClosed(): void {
    this.#activeSubscriptions.dec();
  }

  /** How many calls wait for conditions or for a reply now. */
  setOpenWaits(count: number): void {
    this.#openWaits.set(count);
  }

  /** How many coordinations exist now. */
  setCoordinations(count: number): void {
    this.#coordinations.set(count);
  }

  /** How many coordinations are in memory now. */
  setResidentCoordinations(count: number): void {
    this.#residentCoordinations.set(count);
  }

  /** A connection was accepted. Every call is followed by one of `connectionClosed`. */
  connectionOpened(): void {
    this.#connections.inc();
  }

  /** A connection ended. */
  connectionClosed(): void {
    this.#connections.dec();
  }

  /** A call began. Every call is followed by one of `streamClosed`. */
  streamOpened(): void {
    this.#openStreams.inc();
  }

  /** A call ended. */
  streamClosed(): void {
    this.#openStreams.dec();
  }

  /**
   * Counts one call that ended.
   *
   * @param method one of the `procedures`; anything else counts as `unknown`.
   * @param code name of the status, out of the fixed set of gRPC; never text from a client.
   */
  callEnded(method: string, code: string): void {
    this.#calls.inc({ method: this.#procedures.has(method) ? method : unknownProcedure, code });
  }

  /** Renders every metric for one scrape. */
  async render(): Promise<RenderedMetrics> {
    const histograms = [this.#propagation, this.#storeCommit, this.#commitBatch, this.#deliveryBatch];
    const parts = [await this.#registry.metrics(), ...histograms.map((histogram) => histogram.render())];
    return { contentType: this.#registry.contentType, body: parts.join("\n") };
  }

  #gauge(name: string, help: string): Gauge {
    return new Gauge({ name, help, registers: [this.#registry] });
  }
}
