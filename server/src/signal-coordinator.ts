import { uuidv7 } from "uuidv7";
import type { AppendOutcome } from "./coordination/append-signals.js";
import { closeCoordination, deleteCoordination } from "./coordination/coordination-lifecycle.js";
import { CoordinationReports } from "./coordination/coordination-reports.js";
import { type ExistingSession, existingSession } from "./coordination/existing-session.js";
import { HistoryTrimmer } from "./coordination/history-trimmer.js";
import { RegisteredAgents } from "./coordination/registered-agents.js";
import { type RollbackRequest, type RollbackResult, rollBackCoordination } from "./coordination/rollback.js";
import type { SendOrder } from "./coordination/send-order.js";
import { type BegunSends, SignalAppender } from "./coordination/signal-appender.js";
import { expiredSnapshots, type SnapshotMaker, snapshotOperation } from "./coordination/snapshots.js";
import type { StoredSignal } from "./coordination/stored-signal.js";
import { takesNoChanges } from "./coordination/takes-no-changes.js";
import type { WaitEnvironment } from "./coordination/waits/wait-environment.js";
import { worldOfSession } from "./coordination/waits/wait-world.js";
import { WaitingCalls } from "./coordination/waits/waiting-calls.js";
import { AcknowledgedSubscriptions } from "./delivery/acknowledged/acknowledged-subscriptions.js";
import { LeaseClock } from "./delivery/acknowledged/lease-clock.js";
import { SubscriptionMatchers } from "./delivery/acknowledged/subscription-matcher.js";
import { type HistoryPage, type HistoryPageRequest, readHistoryPage } from "./delivery/history.js";
import type { ItemSink, PumpedReader } from "./delivery/item-sink.js";
import { pulledItems } from "./delivery/pulled-items.js";
import { type ReplayBatch, type ReplayRequest, replaySignals } from "./delivery/replay.js";
import { SignalView } from "./delivery/signal-view.js";
import type { SubscriptionRequest } from "./delivery/subscription.js";
import { Subscriptions } from "./delivery/subscriptions.js";
import type { TailItem } from "./delivery/tail-item.js";
import type { MetricsCollector } from "./metrics/metrics-collector.js";
import type { Clock } from "./model/clock.js";
import type { FilterExpressionCompiler } from "./model/filter-expression.js";
import type { PreparedSignal } from "./model/prepared-signal.js";
import { type HiddenValues, hiddenValuesOf } from "./model/transform/hidden-values.js";
import type { CompiledTransform } from "./model/transform/signal-transform.js";
import { isLiveAgent } from "./registry/agent-state.js";
import type { AgentValidationOptions, ValidationPolicy, WarningSink } from "./registry/agent-validation.js";
import type { Draft } from "./state/draft.js";
import { GroupCommitter } from "./state/group-committer.js";
import { LogReader } from "./state/log-reader.js";
import { plainOperation } from "./state/operation.js";
import { SessionDirectory } from "./state/session-directory.js";
import type { SessionState } from "./state/session-state.js";
import type { CoordinationHeader, JournalRange, JournalRecord, SignalStore } from "./store/signal-store.js";

/** What the coordinator works with. */
export interface SignalCoordinatorOptions {
  readonly store: SignalStore;
  readonly clock: Clock;
  readonly metrics: MetricsCollector;
  /** Signals a coordination keeps; at least 1. */
  readonly retentionSignals: number;
  /** How long signals stay in history; undefined keeps them whatever their age. */
  readonly retentionAgeMs: number | undefined;
  readonly maxCoordinations: number;
  /** Coordinations that stay in memory although nobody uses them; default 1,000. */
  readonly maxIdleCoordinations?: number | undefined;
  readonly maxSubscriptions: number;
  readonly senderValidation: ValidationPolicy;
  readonly recipientValidation: ValidationPolicy;
  /** What becomes of every signal before it is handed out, in whatever way; undefined leaves them as they are. */
  readonly outgoing?: CompiledTransform | undefined;
  readonly waitValidation: ValidationPolicy;
  readonly maxWaits: number;
  /** How long an agent may make no progress while it works or is waited for, in milliseconds. */
  readonly busyStallMs: number;
  /** How long an agent may wait for agents that make no progress, in milliseconds. */
  readonly waitingStallMs: number;
  /** Compiles and remembers filter expressions. */
  readonly expressions: FilterExpressionCompiler;
  /** Told of unknown agents that a `warn` policy lets pass. */
  readonly onWarning: WarningSink;
  /** Told when something failed that is tried again by itself. */
  readonly onBackgroundError: (error: unknown) => void;
  /** Told once when the store has failed in a way that the process must not survive. */
  readonly onFatal: (error: unknown) => void;
}

/** Which journal records of a coordination to read. */
export type JournalSlice = Omit<JournalRange, "coordinationId" | "epoch">;

/**
 * The one door to coordinations: sends, subscribes, reads and looks after agents. Everything that calls it from outside has
 * been validated; everything it refuses is a CoordinationError.
 */
export class SignalCoordinator {
  readonly #options: SignalCoordinatorOptions;
  readonly #directory: SessionDirectory;
  readonly #subscriptions: Subscriptions;
  readonly #acknowledged: AcknowledgedSubscriptions;
  /** Names this server among those with open waits, and those that lease deliveries. */
  readonly #serverName = uuidv7();
  readonly #reader: LogReader;
  readonly #trimmer: HistoryTrimmer;
  readonly #appender: SignalAppender;
  /** The calls that wait for something. */
  readonly waits: WaitingCalls;
  /** The registered agents. */
  readonly agents: RegisteredAgents;
  /** What of the state of coordinations is not to be shown. */
  readonly hidden: HiddenValues;
  /** What people are told of coordinations. */
  readonly reports: CoordinationReports;
  readonly #drainListeners = new Set<() => void>();
  #isDraining = false;

  constructor(options: SignalCoordinatorOptions) {
    this.#options = options;
    const { store, clock, metrics } = options;
    this.hidden = hiddenValuesOf(options.outgoing);
    this.#reader = new LogReader(store, options.onFatal);
    const committer = new GroupCommitter({ ...options, onApplied: (session) => this.#trimmer.consider(session) });
    this.#directory = new SessionDirectory({
      store,
      committer,
      clock,
      metrics,
      maxIdleSessions: options.maxIdleCoordinations,
      leastStallMs: Math.min(options.busyStallMs, options.waitingStallMs),
      onFlushFailed: options.onBackgroundError,
    });
    const matchers = new SubscriptionMatchers(options.expressions, options.outgoing);
    this.#trimmer = new HistoryTrimmer({
      ...options,
      reader: this.#reader,
      directory: this.#directory,
      onFailed: options.onBackgroundError,
      matchers,
      onBuried: (count) => metrics.deadLettersMade("retention", count),
    });
    const leaseClock = new LeaseClock(clock, store.shared !== undefined);
    this.#acknowledged = new AcknowledgedSubscriptions({
      ...options,
      reader: this.#reader,
      directory: this.#directory,
      clock: leaseClock,
      matchers,
      outgoing: options.outgoing,
      owner: this.#serverName,
      isDraining: () => this.#isDraining,
    });
    this.#subscriptions = new Subscriptions({
      ...options,
      reader: this.#reader,
      directory: this.#directory,
      acknowledged: this.#acknowledged,
      leaseClock,
      outgoing: options.outgoing,
    });
    const validation: AgentValidationOptions = {
      ...options,
      isLive: (draft, agentId) => this.#isLive(draft, agentId),
    };
    const environment: WaitEnvironment = {
      ...options,
      reader: this.#reader,
      directory: this.#directory,
      owner: this.#serverName,
      isShared: store.shared !== undefined,
      hidden: this.hidden,
      isDraining: () => this.#isDraining,
    };
    this.waits = new WaitingCalls({
      ...options,
      environment,
      validation,
      acknowledged: this.#acknowledged,
      outgoing: options.outgoing,
    });
    this.#appender = new SignalAppender({ directory: this.#directory, metrics, validation });
    const worldOf = (session: SessionState) =>
      worldOfSession(session, { owner: this.#serverName, nowMs: clock.nowMs() });
    this.agents = new RegisteredAgents({
      ...options,
      directory: this.#directory,
      worldOf,
      isDraining: () => this.#isDraining,
    });
    this.reports = new CoordinationReports({
      ...options,
      outgoing: options.outgoing,
      reader: this.#reader,
      directory: this.#directory,
      acknowledged: this.#acknowledged,
      agents: this.agents,
      worldOf,
      hidden: this.hidden,
    });
    metrics.setCoordinations(store.count());
  }

  /** Subscriptions that are open now. */
  get openSubscriptions(): number {
    return this.#subscriptions.openCount;
  }

  /** Stores one signal. Throws what refuses it. */
  async send(signal: PreparedSignal): Promise<StoredSignal> {
    const [outcome] = await this.sendEach([signal]);
    if (outcome?.stored === undefined) throw outcome?.error;
    return outcome.stored;
  }

  /** Stores signals of any coordinations, each for itself; those of one coordination keep their order. */
  async sendEach(signals: readonly PreparedSignal[]): Promise<readonly AppendOutcome[]> {
    const { result } = await this.beginSends(signals);
    return result;
  }

  /** Stores signals of one coordination adjacent, all or none. Throws the first refusal with metadata `index`. */
  async sendAtomically(signals: readonly PreparedSignal[]): Promise<readonly StoredSignal[]> {
    const { result } = await this.beginAtomicSends(signals);
    return result;
  }

  /**
   * As `sendEach`; answers, or resolves once the signals stand in their queues. Those of one `order` do not overtake each other.
   * Throws SHUTTING_DOWN.
   */
  beginSends(
    signals: readonly PreparedSignal[],
    order?: SendOrder,
  ): BegunSends<readonly AppendOutcome[]> | Promise<BegunSends<readonly AppendOutcome[]>> {
    this.#checkTakesChanges();
    return this.#appender.begin(signals, order);
  }

  /** As `sendAtomically`; resolves once the signals stand in their queue. Those of one `order` do not overtake each other. */
  async beginAtomicSends(
    signals: readonly PreparedSignal[],
    order?: SendOrder,
  ): Promise<BegunSends<readonly StoredSignal[]>> {
    this.#checkTakesChanges();
    return this.#appender.beginAtomically(signals, order);
  }

  /** Opens a subscription; see `Subscriptions.open`. */
  openSubscription(request: SubscriptionRequest, sink: ItemSink): PumpedReader {
    return this.#subscriptions.open(request, sink);
  }

  /** As `openSubscription`, for those who pull; see `pulledItems`. */
  subscribe(request: SubscriptionRequest, abort: AbortSignal): AsyncGenerator<TailItem, void, undefined> {
    return pulledItems((sink) => this.openSubscription(request, sink), abort);
  }

  /** The named subscriptions, to look at. */
  get named(): AcknowledgedSubscriptions {
    return this.#acknowledged;
  }

  /** The named subscriptions, to change something. Throws SHUTTING_DOWN. */
  get changingNamed(): AcknowledgedSubscriptions {
    this.#checkTakesChanges();
    return this.#acknowledged;
  }

  /** Reads a page of history. Throws COORDINATION_NOT_FOUND. */
  readHistory(
    coordinationId: string,
    requestOf: (header: CoordinationHeader) => HistoryPageRequest,
  ): Promise<HistoryPage & { readonly header: CoordinationHeader }> {
    return this.look(coordinationId, async ({ header }) => {
      const page = await readHistoryPage(this.#reader, header, requestOf(header), this.#options.outgoing);
      return { ...page, header };
    });
  }

  /** Looks at a coordination as it is now. Throws COORDINATION_NOT_FOUND. */
  look<T>(coordinationId: string, read: (existing: ExistingSession) => T | Promise<T>): Promise<T> {
    return this.#directory.withLatest(coordinationId, (session) => read(existingSession(session)));
  }

  /** Lists coordinations by id, those after `afterId`. */
  listCoordinations(afterId: string, limit: number): Promise<readonly CoordinationHeader[]> {
    return this.#options.store.list(afterId, limit);
  }

  /** Closes a coordination; closing again changes nothing. Throws COORDINATION_NOT_FOUND. */
  closeCoordination(coordinationId: string, reason: string): Promise<CoordinationHeader> {
    return this.#change(coordinationId, (draft) => closeCoordination(draft, reason));
  }

  /** Removes a coordination. Throws COORDINATION_NOT_FOUND. */
  async deleteCoordination(coordinationId: string): Promise<void> {
    this.#checkTakesChanges();
    return this.#directory.execute(coordinationId, { ...plainOperation(deleteCoordination), runsAlone: true });
  }

  /**
   * Takes the signals after a sequence out of a coordination's log and undoes what they had decided. Throws
   * COORDINATION_NOT_FOUND, CURSOR_AHEAD, CURSOR_EXPIRED, ROLLED_BACK, TOO_MANY_ROLLBACKS, and STORE_UNAVAILABLE when other
   * servers on the same store were faster again and again.
   */
  async rollBack(coordinationId: string, request: RollbackRequest): Promise<RollbackResult> {
    this.#checkTakesChanges();
    const { store } = this.#options;
    const parts = { store, reader: this.#reader, directory: this.#directory, trimmer: this.#trimmer };
    return rollBackCoordination(parts, coordinationId, request);
  }

  /** Keeps a coordination's state as it is now. Throws COORDINATION_NOT_FOUND. */
  async createSnapshot(coordinationId: string, make: SnapshotMaker): Promise<Uint8Array> {
    this.#checkTakesChanges();
    return this.#directory.with(coordinationId, async (session) => {
      const expired = await expiredSnapshots(this.#options.store, session.header);
      return this.#directory.execute(coordinationId, snapshotOperation(session, make, expired));
    });
  }

  /** Reads journal records of a coordination. Throws COORDINATION_NOT_FOUND. */
  readJournal(coordinationId: string, range: JournalSlice): Promise<readonly JournalRecord[]> {
    return this.look(coordinationId, ({ header: { epoch } }) =>
      this.#options.store.readJournal({ ...range, coordinationId, epoch }),
    );
  }

  /** Reads a stretch of history again; see `replaySignals`. Throws COORDINATION_NOT_FOUND. */
  async *replay(request: ReplayRequest, abort: AbortSignal): AsyncGenerator<ReplayBatch, void, undefined> {
    const session = await this.#directory.pinCurrent(request.coordinationId);
    // A reader that has gone may never ask for the next batch: then only `abort` tells.
    const release = onceOnly(() => this.#directory.unpin(session));
    abort.addEventListener("abort", release);
    try {
      const { clock } = this.#options;
      yield* replaySignals({
        session,
        reader: this.#reader,
        clock,
        request,
        view: new SignalView({ outgoing: this.#options.outgoing, ...request }),
        abort,
        isDraining: () => this.#isDraining,
      });
    } finally {
      abort.removeEventListener("abort", release);
      release();
    }
  }

  /**
   * Refuses new changes and ends every subscription and every wait with SHUTTING_DOWN; what was accepted is still made
   * durable.
   */
  drain(): void {
    if (this.#isDraining) return;
    this.#isDraining = true;
    this.#subscriptions.drain();
    this.waits.drain();
    for (const listener of this.#drainListeners) listener();
    this.#drainListeners.clear();
  }

  /** Calls back when `drain` is called, at once when it was. The function returned takes that back. */
  onDrain(listener: () => void): () => void {
    if (this.#isDraining) listener();
    else this.#drainListeners.add(listener);
    return () => this.#drainListeners.delete(listener);
  }

  /** Writes what only memory has. The store stays open. */
  async close(): Promise<void> {
    this.drain();
    await this.waits.close();
    await this.#acknowledged.close();
    await this.#trimmer.close();
    await this.#directory.close();
  }

  async #change<T>(coordinationId: string, run: (draft: Draft) => T): Promise<T> {
    this.#checkTakesChanges();
    return this.#directory.execute(coordinationId, plainOperation(run));
  }

  #checkTakesChanges(): void {
    if (this.#isDraining) throw takesNoChanges();
  }

  #isLive(draft: Draft, agentId: string): boolean {
    const record = draft.agent(agentId);
    return record !== undefined && isLiveAgent({ record, activity: draft.activity, nowMs: draft.nowMs });
  }
}

function onceOnly(run: () => void): () => void {
  let isDone = false;
  return () => {
    if (isDone) return;
    isDone = true;
    run();
  };
}
