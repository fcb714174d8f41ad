import type { DeadLetter } from "@coordination-signals/proto/coordination/v1/acknowledgement";
import type { Agent } from "@coordination-signals/proto/coordination/v1/agent";
import type { Coordination } from "@coordination-signals/proto/coordination/v1/coordination";
import type {
  GetCoordinationResponse,
  GetTimelineResponse,
  GetWaitGraphResponse,
} from "@coordination-signals/proto/coordination/v1/coordination_service";
import type {
  ExplainDeliveryResponse,
  GetSignalMetricsResponse,
} from "@coordination-signals/proto/coordination/v1/signal_service";
import { defaultAckDeadlineMs } from "./acknowledgement/ack-policy.js";
import { AcknowledgedSubscription } from "./acknowledgement/acknowledged-subscription.js";
import {
  type DeadLetterPage,
  type ListDeadLettersOptions,
  listDeadLetters,
  type RedriveOptions,
  redriveDeadLetters,
} from "./acknowledgement/dead-letters.js";
import {
  type AcknowledgedSubscribeOptions,
  type DurableSubscriptionOptions,
  isAcknowledged,
} from "./acknowledgement/durable-subscription-options.js";
import {
  createSubscription,
  type DurableSubscription,
  type DurableSubscriptionPage,
  deleteSubscription,
  type ListPageOptions,
  listSubscriptions,
} from "./acknowledgement/durable-subscriptions.js";
import { LeaseKeeper } from "./acknowledgement/lease-keeper.js";
import { Worker, type WorkHandler, type WorkOptions } from "./acknowledgement/worker.js";
import type { CallOptions } from "./calls/caller.js";
import { remove } from "./calls/remove.js";
import { clientClosedError } from "./errors/cancelled-error.js";
import { InternalError } from "./errors/coordination-client-error.js";
import { invalidOption } from "./errors/invalid-option.js";
import { type HistoryOptions, SignalHistory } from "./history/signal-history.js";
import { OpenResources } from "./open-resources.js";
import { boundRule, checkNumber } from "./options/check-number.js";
import { checkSequence } from "./options/check-sequence.js";
import { readPages } from "./read-pages.js";
import { readReceipts, type SignalName, type SignalReceipts } from "./receipts/read-receipts.js";
import { getAgent, type ListAgentsOptions, listAgents } from "./registry/agent-registration.js";
import { type ReplayOptions, replaySignals } from "./replay/replay-signals.js";
import type { SessionEnvironment } from "./session-environment.js";
import type { SignalEventCase, TypedSignal } from "./signals/typed-signal.js";
import { CoordinationStateHistory } from "./state/coordination-state-history.js";
import type { SubscribeOptions } from "./subscription/subscribe-options.js";
import { Subscription } from "./subscription/subscription.js";
import { readTimeline, type TimelineOptions } from "./timeline/read-timeline.js";
import { readWaitGraph, type WaitGraphOptions } from "./waits/wait-graph.js";

/** A view on one coordination: reads everything in it and looks after it, but sends nothing. Safe for concurrent use. */
export class CoordinationObserver implements AsyncDisposable {
  /** The coordination. */
  readonly coordinationId: string;
  readonly #environment: SessionEnvironment;
  readonly #open: OpenResources;
  #closed = false;

  /** Made by `client.coordination(id)`. */
  constructor(environment: SessionEnvironment, coordinationId: string) {
    if (typeof coordinationId !== "string" || coordinationId === "") throw invalidOption("coordinationId is empty");
    this.coordinationId = coordinationId;
    this.#environment = environment;
    this.#open = new OpenResources(environment.open);
  }

  /**
   * Reads signals as they come, from history first when `from` says so. With `types`, what it hands out is narrowed to
   * them. An observer gets all signals; an agent gets broadcasts and what is addressed to it, and not its own unless
   * `includeOwn`. A coordination that does not exist yet is waited for. Throws InvalidRequestError at once for options
   * that cannot be understood; other errors are thrown by the iteration.
   *
   * With a `subscription`, it joins the durable subscription of that name, or makes it: its consumers share the signals, and each
   * signal comes with its `delivery`, and again until it is acknowledged. The iteration then throws PreconditionError
   * (SUBSCRIPTION_CONFLICT) when there is one of that name that differs, and NotFoundError when it is deleted.
   */
  subscribe<const Case extends SignalEventCase = SignalEventCase>(
    options: AcknowledgedSubscribeOptions<Case>,
  ): AcknowledgedSubscription<Case>;
  subscribe<const Case extends SignalEventCase = SignalEventCase>(options?: SubscribeOptions<Case>): Subscription<Case>;
  subscribe<const Case extends SignalEventCase = SignalEventCase>(
    options: SubscribeOptions<Case> | AcknowledgedSubscribeOptions<Case> = {},
  ): Subscription<Case> | AcknowledgedSubscription<Case> {
    const environment = this.#subscriptionEnvironment();
    return isAcknowledged(options)
      ? new AcknowledgedSubscription(environment, options)
      : new Subscription(environment, options);
  }

  /**
   * Works on the signals of a named subscription until it is closed, or the session is: some at a time, each acknowledged when the
   * handler returns and refused when it throws, and kept from expiring until then. What is still at work when this process dies
   * is delivered again, to another worker or to its next life: handlers must bear that.
   */
  work<const Case extends SignalEventCase = SignalEventCase>(
    options: WorkOptions<Case>,
    handler: WorkHandler<Case>,
  ): Worker<Case> {
    const { maxConcurrent, onError: _, signal: __, ...subscribing } = options;
    checkNumber("maxConcurrent", maxConcurrent, boundRule);
    return new Worker({ ...this.consume<Case>(subscribing), open: this.#open }, handler, options);
  }

  /**
   * Makes a durable subscription without reading it, so that nothing is missed until it is read. Made again as it is, it is found
   * as it is. Throws PreconditionError (SUBSCRIPTION_CONFLICT) when there is one of that name that differs.
   */
  async createSubscription(options: DurableSubscriptionOptions & CallOptions): Promise<DurableSubscription> {
    return createSubscription(this.#durableEnvironment(), options);
  }

  /** Reads one page of the durable subscriptions, by name, and how each stands. Throws NotFoundError. */
  async listSubscriptions(options: ListPageOptions = {}): Promise<DurableSubscriptionPage> {
    return listSubscriptions(this.#durableEnvironment(), options);
  }

  /** Hands out the durable subscriptions one by one, by name. Throws NotFoundError. */
  async *subscriptions(
    options: Omit<ListPageOptions, "pageToken"> = {},
  ): AsyncGenerator<DurableSubscription, void, undefined> {
    for await (const page of readPages((pageToken) => this.listSubscriptions({ ...options, pageToken }))) {
      yield* page.subscriptions;
    }
  }

  /** Removes a durable subscription with its deliveries and dead letters; its consumers end with NotFoundError. Throws NotFoundError. */
  async deleteSubscription(subscription: string, options: CallOptions = {}): Promise<void> {
    await deleteSubscription(this.#durableEnvironment(), subscription, options);
  }

  /** Reads one page of the signals that named subscriptions gave up delivering, those that came last first. Throws NotFoundError. */
  async listDeadLetters(options: ListDeadLettersOptions = {}): Promise<DeadLetterPage> {
    return listDeadLetters(this.#durableEnvironment(), options);
  }

  /** Hands out dead letters one by one, those that came last first. Throws NotFoundError. */
  async *deadLetters(
    options: Omit<ListDeadLettersOptions, "pageToken"> = {},
  ): AsyncGenerator<DeadLetter, void, undefined> {
    for await (const page of readPages((pageToken) => this.listDeadLetters({ ...options, pageToken }))) {
      yield* page.deadLetters;
    }
  }

  /**
   * Delivers dead letters again, their attempts counted anew, and tells how many. Not repeated when its answer is lost. Throws
   * NotFoundError (SIGNAL_NOT_FOUND: a sequence is no dead letter, and none is redriven), OverloadedError (TOO_MANY_REDRIVEN: not all of
   * `sequences` fit beside those that are redriven and not settled, and none is redriven).
   */
  async redriveDeadLetters(options: RedriveOptions = {}): Promise<bigint> {
    return redriveDeadLetters(this.#durableEnvironment(), options);
  }

  /** Reads stored signals, newest first unless `order` says otherwise. Iterating throws NotFoundError while there is no such coordination. */
  history<const Case extends SignalEventCase = SignalEventCase>(
    options: HistoryOptions<Case> = {},
  ): SignalHistory<Case> {
    this.assertOpen();
    const { signals: client, signalStreams: streams, caller } = this.#environment;
    return new SignalHistory({ client, streams, caller, coordinationId: this.coordinationId }, options);
  }

  /**
   * Reads a stretch of history again, in order, at the pace in which it came or faster, and ends after its last signal. Throws
   * InvalidRequestError, NotFoundError, OutOfRangeError, UnavailableError.
   */
  replay<const Case extends SignalEventCase = SignalEventCase>(
    options: ReplayOptions<Case> = {},
  ): AsyncGenerator<TypedSignal<Case>, void, undefined> {
    const { signals, closed } = this.#openEnvironment();
    return replaySignals({ client: signals, coordinationId: this.coordinationId, closed }, options);
  }

  /** The coordination's state with its versions: snapshots, the audit trail, and the way back. */
  get state(): CoordinationStateHistory {
    const { state, caller } = this.#openEnvironment();
    const requestedBy = this.readingAgentId() ?? "";
    return new CoordinationStateHistory({ client: state, caller, coordinationId: this.coordinationId, requestedBy });
  }

  /** Reads the coordination's metrics. Throws NotFoundError while it does not exist. */
  async metrics(options: CallOptions = {}): Promise<GetSignalMetricsResponse> {
    const { signals, caller } = this.#openEnvironment();
    const request = { coordinationId: this.coordinationId };
    return caller.call((attempt) => signals.getSignalMetrics(request, attempt), options);
  }

  /** Reads the coordination's state: its log, its agents, its dependencies and who resolved them. Throws NotFoundError while it does not exist. */
  async overview(options: CallOptions = {}): Promise<GetCoordinationResponse> {
    const { coordinations, caller } = this.#openEnvironment();
    const request = { coordinationId: this.coordinationId };
    return caller.call((attempt) => coordinations.getCoordination(request, attempt), options);
  }

  /**
   * Reads who waits for what, who could bring it, and what stands in the way. Throws NotFoundError while the coordination does not
   * exist and nobody waits for it.
   */
  async waitGraph(options: WaitGraphOptions = {}): Promise<GetWaitGraphResponse> {
    const { coordinations, caller } = this.#openEnvironment();
    return readWaitGraph({ client: coordinations, caller, coordinationId: this.coordinationId }, options);
  }

  /**
   * Reads what happened, by agents: who sent what, who waited for whom and how long, when nothing was heard of whom, and the chain
   * of signals that determined when the work ended. Throws NotFoundError while the coordination does not exist.
   */
  async timeline(options: TimelineOptions = {}): Promise<GetTimelineResponse> {
    const { coordinations, caller } = this.#openEnvironment();
    return readTimeline({ client: coordinations, caller, coordinationId: this.coordinationId }, options);
  }

  /**
   * Reads what became of a signal at each of its recipients: delivered, replied, and when. Throws NotFoundError for a signal that
   * is not there (SIGNAL_NOT_FOUND).
   */
  async receipts(signal: SignalName, options: CallOptions = {}): Promise<SignalReceipts> {
    const { signals, caller } = this.#openEnvironment();
    return readReceipts({ client: signals, caller, coordinationId: this.coordinationId }, signal, options);
  }

  /**
   * Says why a signal was handed to a reader, an agent by its id or a named subscription, or was not. Throws NotFoundError while the
   * coordination does not exist (COORDINATION_NOT_FOUND), or the subscription (SUBSCRIPTION_NOT_FOUND).
   */
  async explainDelivery(
    sequence: bigint,
    reader: string | { readonly subscription: string },
    options: CallOptions = {},
  ): Promise<ExplainDeliveryResponse> {
    const { signals, caller } = this.#openEnvironment();
    checkSequence("sequence", sequence);
    const request = { coordinationId: this.coordinationId, sequence, reader: readerOf(reader) };
    return caller.call((attempt) => signals.explainDelivery(request, attempt), options);
  }

  /** Reads the registered agents, by name. Throws NotFoundError while the coordination does not exist. */
  async agents(options: ListAgentsOptions = {}): Promise<readonly Agent[]> {
    return listAgents(this.registryEnvironment(), options);
  }

  /** Reads one agent. Throws NotFoundError when it is not registered. */
  async agent(agentId: string, options: CallOptions = {}): Promise<Agent> {
    return getAgent(this.registryEnvironment(), agentId, options);
  }

  /**
   * Closes the coordination for everybody: later sends are refused, subscriptions end after its last signal, reading goes
   * on. Closing again changes nothing. The reason is for people to read.
   */
  async closeCoordination(reason = "", options: CallOptions = {}): Promise<Coordination> {
    const { coordinations, caller } = this.#openEnvironment();
    const request = { coordinationId: this.coordinationId, reason };
    const { coordination } = await caller.call((attempt) => coordinations.closeCoordination(request, attempt), options);
    if (coordination !== undefined) return coordination;
    throw new InternalError({
      message: "the answer has no coordination",
      reason: "UNEXPECTED_RESPONSE",
      code: "INTERNAL",
    });
  }

  /** Removes the coordination and everything in it. Throws NotFoundError when there is none. */
  async deleteCoordination(options: CallOptions = {}): Promise<void> {
    const { coordinations, caller } = this.#openEnvironment();
    const request = { coordinationId: this.coordinationId };
    await remove(caller, (attempt) => coordinations.deleteCoordination(request, attempt), options);
  }

  /**
   * Ends this session's subscriptions, waits for handlers that run and for the answers of its sends, and stops its heartbeats. The
   * coordination goes on. A handler must not await it: it would wait for itself.
   */
  async [Symbol.asyncDispose](): Promise<void> {
    this.#closed = true;
    await this.#open.close();
  }

  /** The agent whose view this is; none sees everything. */
  protected readingAgentId(): string | undefined {
    return undefined;
  }

  /** What is open in this session. */
  protected get openResources(): OpenResources {
    return this.#open;
  }

  /** Joins a named subscription for an owner that is closed with the session: its handlers are waited for before the stream goes. */
  protected consume<Case extends SignalEventCase>(options: AcknowledgedSubscribeOptions<Case>) {
    const environment = this.#subscriptionEnvironment();
    const leases = new LeaseKeeper(environment.clock, options.ack?.deadlineMs ?? defaultAckDeadlineMs);
    const inner = { ...environment, open: new OpenResources(), leases };
    return { subscription: new AcknowledgedSubscription<Case>(inner, options), leases };
  }

  /** Throws when the session was disposed of or the client closed. */
  protected assertOpen(): void {
    if (!this.isOpen) throw clientClosedError();
  }

  /** Whether neither the session was disposed of nor the client closed. */
  protected get isOpen(): boolean {
    return !this.#closed && this.#environment.isOpen();
  }

  /** What the registry is called with. */
  protected registryEnvironment() {
    const { registry, caller } = this.#openEnvironment();
    return { client: registry, caller, coordinationId: this.coordinationId };
  }

  #subscriptionEnvironment() {
    const { signals, signalStreams, caller, retry, clock, closeTimeoutMs } = this.#openEnvironment();
    const reader = { coordinationId: this.coordinationId, agentId: this.readingAgentId() };
    return {
      ...reader,
      client: signals,
      streams: signalStreams,
      caller,
      retry,
      clock,
      closeTimeoutMs,
      open: this.#open,
    };
  }

  #durableEnvironment() {
    const { client, caller, coordinationId, agentId } = this.#subscriptionEnvironment();
    return { client, caller, coordinationId, agentId };
  }

  #openEnvironment(): SessionEnvironment {
    this.assertOpen();
    return this.#environment;
  }
}

function readerOf(reader: string | { readonly subscription: string }) {
  if (typeof reader === "string") return { case: "agentId", value: reader } as const;
  return { case: "subscription", value: reader.subscription } as const;
}
