import type { MetricsCollector } from "../metrics/metrics-collector.js";
import type { Clock } from "../model/clock.js";
import { CoordinationError } from "../model/coordination-error.js";
import { tailBudgetBytes } from "../model/limits.js";
import type { KnownCoordination, SignalStore } from "../store/signal-store.js";
import { CurrencyCheck } from "./currency-check.js";
import type { GroupCommitter } from "./group-committer.js";
import { LeaseKeeper } from "./lease-keeper.js";
import type { Operation } from "./operation.js";
import { SessionState } from "./session-state.js";
import { TailBudget } from "./tail-budget.js";

/** What the directory works with. */
export interface SessionDirectoryOptions {
  readonly store: SignalStore;
  readonly committer: GroupCommitter;
  readonly clock: Clock;
  readonly metrics: MetricsCollector;
  /** Coordinations that stay in memory although nobody uses them; default 1,000. */
  readonly maxIdleSessions?: number | undefined;
  /** How often counters and renewed leases are written; default 5 s. */
  readonly flushIntervalMs?: number;
  /** How long an agent may make no progress before anybody counts it as stalled, in milliseconds; by default for ever. */
  readonly leastStallMs?: number;
  /** Told when counters could not be written; the next flush tries again. */
  readonly onFlushFailed: (error: unknown) => void;
}

/** An operation that stands in its queue. */
export interface Begun<T> {
  readonly result: Promise<T>;
}

interface Slot {
  readonly session: SessionState;
  pins: number;
}

const defaultMaxIdleSessions = 1_000;
const defaultFlushIntervalMs = 5_000;

/**
 * The coordinations in memory. One comes in when somebody uses it and stays while somebody does; of the rest those used last
 * are kept. Whoever uses a coordination holds a pin on it, so that all of them share one state.
 */
export class SessionDirectory {
  readonly #options: SessionDirectoryOptions;
  readonly #slots = new Map<string, Slot>();
  /** Those nobody uses, in order of last use. */
  readonly #idle = new Map<string, Slot>();
  readonly #loading = new Map<string, Promise<void>>();
  readonly #flushTimer: NodeJS.Timeout;
  readonly #currency: CurrencyCheck | undefined;
  /** Where others have to be told which agents are here. */
  readonly #leases: LeaseKeeper | undefined;
  readonly #tailBudget = new TailBudget(tailBudgetBytes);
  /** The key of this server's counters in the journal. */
  #serverKey: string;

  constructor(options: SessionDirectoryOptions) {
    this.#options = options;
    const { shared } = options.store;
    this.#serverKey = serverKeyOf(options.store);
    this.#currency = shared && new CurrencyCheck((known) => shared.findChanged(known));
    this.#leases =
      shared &&
      new LeaseKeeper({
        clock: options.clock,
        execute: (coordinationId, operation) => this.execute(coordinationId, operation),
        onFailed: options.onFlushFailed,
      });
    shared?.watch(
      () => this.#known(),
      (coordinationIds) => this.#refresh(coordinationIds),
    );
    this.#flushTimer = setInterval(() => {
      this.flush().catch(options.onFlushFailed);
    }, options.flushIntervalMs ?? defaultFlushIntervalMs);
    this.#flushTimer.unref();
  }

  /** How many coordinations are in memory. */
  get residentCount(): number {
    return this.#slots.size;
  }

  /** The coordinations in memory. */
  *residents(): Iterable<SessionState> {
    for (const { session } of this.#slots.values()) yield session;
  }

  /** Runs `use` with a coordination in memory, whether it exists or not. */
  async with<T>(coordinationId: string, use: (session: SessionState) => T | Promise<T>): Promise<T> {
    const session = await this.pin(coordinationId);
    try {
      return await use(session);
    } finally {
      this.unpin(session);
    }
  }

  /** As `with`, with a coordination as `pinCurrent` brings it in. */
  async withCurrent<T>(coordinationId: string, use: (session: SessionState) => T | Promise<T>): Promise<T> {
    const session = await this.pinCurrent(coordinationId);
    try {
      return await use(session);
    } finally {
      this.unpin(session);
    }
  }

  /**
   * As `withCurrent`; while the store does not answer, with what is known here. Nothing is refused because of that: what
   * `use` then throws becomes STORE_UNAVAILABLE.
   */
  withLatest<T>(coordinationId: string, use: (session: SessionState) => T | Promise<T>): Promise<T> {
    return this.with(coordinationId, async (session) => {
      let doubt: unknown;
      try {
        await this.#bringUpToDate(session);
      } catch (error) {
        if (!isUnavailable(error)) throw error;
        doubt = error;
      }
      try {
        return await use(session);
      } catch (error) {
        throw doubt !== undefined && error instanceof CoordinationError ? doubt : error;
      }
    });
  }

  /** Runs an operation under a coordination's lock. */
  execute<T>(coordinationId: string, operation: Operation<T>): Promise<T> {
    const session = this.#pinResident(coordinationId);
    return session === undefined ? this.#executeLater(coordinationId, operation) : this.#executeIn(session, operation);
  }

  /**
   * Puts an operation into its coordination's queue, at once where that is in memory. Answers, or resolves once it stands there,
   * with its result to come, for somebody who awaits it at once: what is begun after that runs after it.
   */
  begin<T>(coordinationId: string, operation: Operation<T>): Begun<T> | Promise<Begun<T>> {
    const session = this.#pinResident(coordinationId);
    if (session === undefined) return this.#beginLater(coordinationId, operation);
    return { result: this.#executeIn(session, operation) };
  }

  async #beginLater<T>(coordinationId: string, operation: Operation<T>): Promise<Begun<T>> {
    const result = this.#executeIn(await this.pin(coordinationId), operation);
    // Whoever awaits it is told; it may fail before anybody does.
    result.catch(() => undefined);
    return { result };
  }

  async #executeLater<T>(coordinationId: string, operation: Operation<T>): Promise<T> {
    return this.#executeIn(await this.pin(coordinationId), operation);
  }

  #executeIn<T>(session: SessionState, operation: Operation<T>): Promise<T> {
    return this.#options.committer.execute(session, operation, this.#unpin);
  }

  readonly #unpin = (session: SessionState): void => this.unpin(session);

  /** Brings a coordination into memory and keeps it there until `unpin`. */
  async pin(coordinationId: string): Promise<SessionState> {
    let session = this.#pinResident(coordinationId);
    while (session === undefined) {
      await this.#load(coordinationId);
      // Somebody else may have used it and let it go while the news of its loading was on its way here: two states of
      // one coordination would be two writers of its log.
      session = this.#pinResident(coordinationId);
    }
    return session;
  }

  /** As `pinCurrent`, at once; undefined where that takes time. */
  pinAtHand(coordinationId: string): SessionState | undefined {
    return this.#currency === undefined ? this.#pinResident(coordinationId) : undefined;
  }

  #pinResident(coordinationId: string): SessionState | undefined {
    const slot = this.#slots.get(coordinationId);
    if (slot === undefined) return undefined;
    slot.pins += 1;
    this.#idle.delete(coordinationId);
    return slot.session;
  }

  /**
   * As `pin`, and what other servers on the same store have changed before this call is there: whoever was answered by one of
   * them finds it here. Rejects with STORE_UNAVAILABLE while the store does not answer.
   */
  async pinCurrent(coordinationId: string): Promise<SessionState> {
    const session = await this.pin(coordinationId);
    try {
      await this.#bringUpToDate(session);
      return session;
    } catch (error) {
      this.unpin(session);
      throw error;
    }
  }

  unpin(session: SessionState): void {
    const slot = this.#slots.get(session.coordinationId);
    if (slot === undefined || slot.session !== session) return;
    slot.pins -= 1;
    if (slot.pins > 0) return;
    session.tail.release();
    if (session.header === undefined) this.#slots.delete(session.coordinationId);
    else this.#idle.set(session.coordinationId, slot);
    this.#evict();
    this.#countResidents();
  }

  /** Which versions of which coordinations are in memory. */
  *#known(): Iterable<KnownCoordination> {
    for (const { session } of this.#slots.values()) yield session.known;
  }

  #refresh(coordinationIds: readonly string[]): void {
    for (const coordinationId of coordinationIds) {
      const slot = this.#slots.get(coordinationId);
      // What could not be read now is found changed again by the next look.
      if (slot !== undefined) this.#options.committer.refresh(slot.session).catch(this.#options.onFlushFailed);
    }
  }

  /** Writes counters, renewed leases and ended waits that only memory has. */
  async flush(): Promise<void> {
    this.#updateServerKey();
    const due = [...this.#slots.values()].filter(({ session }) => isFlushDue(session, this.#options.clock.nowMs()));
    await Promise.all(due.map(({ session }) => this.#flushSession(session)));
  }

  /** Writes what is left and forgets everything. */
  async close(): Promise<void> {
    clearInterval(this.#flushTimer);
    this.#leases?.close();
    // Counters that cannot be written are no reason to stay.
    await this.flush().catch(this.#options.onFlushFailed);
    await this.#options.committer.idle();
    this.#slots.clear();
    this.#idle.clear();
    this.#countResidents();
  }

  async #bringUpToDate(session: SessionState): Promise<void> {
    if (this.#currency === undefined || (await this.#currency.isCurrent(session))) return;
    await this.#options.committer.refresh(session);
  }

  #updateServerKey(): void {
    this.#serverKey = serverKeyOf(this.#options.store);
    for (const { session } of this.#slots.values()) session.setServerKey(this.#serverKey);
  }

  async #flushSession(session: SessionState): Promise<void> {
    try {
      await this.execute(session.coordinationId, flushOperation(session, this.#serverKey));
    } catch (error) {
      session.metrics.markUnwritten();
      session.readings.markAllUnwritten();
      throw error;
    }
  }

  #load(coordinationId: string): Promise<void> {
    return this.#loading.get(coordinationId) ?? this.#startLoading(coordinationId);
  }

  #startLoading(coordinationId: string): Promise<void> {
    const loading = this.#options.store
      .load(coordinationId)
      .then((stored) => {
        const session = new SessionState(coordinationId, stored, this.#serverKey, {
          tailBudget: this.#tailBudget,
          leastStallMs: this.#options.leastStallMs,
          onPresent: this.#leases && ((present, record) => this.#leases?.keep(present, record)),
        });
        this.#slots.set(coordinationId, { session, pins: 0 });
        this.#countResidents();
      })
      .finally(() => this.#loading.delete(coordinationId));
    this.#loading.set(coordinationId, loading);
    return loading;
  }

  #countResidents(): void {
    this.#options.metrics.setResidentCoordinations(this.#slots.size);
  }

  #evict(): void {
    const limit = this.#options.maxIdleSessions ?? defaultMaxIdleSessions;
    for (const [coordinationId, slot] of this.#idle) {
      if (this.#idle.size <= limit) return;
      this.#idle.delete(coordinationId);
      // One that still has something to write is let go by the flush that writes it.
      if (!isFlushDue(slot.session, this.#options.clock.nowMs())) this.#slots.delete(coordinationId);
    }
  }
}

function isFlushDue(session: SessionState, nowMs: number): boolean {
  if (session.header === undefined) return false;
  if (session.metrics.isDirty || session.endedWaits.waiting.length > 0 || session.readings.isDirty) return true;
  for (const record of session.agents.values()) {
    if (session.activity.isDue(record, nowMs)) return true;
  }
  return false;
}

function serverKeyOf({ shared }: SignalStore): string {
  return String(shared?.serverSlot ?? 0);
}

function isUnavailable(error: unknown): boolean {
  return error instanceof CoordinationError && error.reason === "STORE_UNAVAILABLE";
}

function flushOperation(session: SessionState, serverKey: string): Operation<void> {
  const { isDirty } = session.metrics;
  return {
    requestKeys: [],
    signalCount: 0,
    run: (draft) => {
      if (draft.header === undefined || draft.isRemoved) return;
      if (isDirty) draft.putRecord({ kind: "metrics", key: serverKey, value: session.metrics.encode() });
      session.metrics.markWritten();
      for (const record of draft.agents()) {
        if (draft.activity.isDue(record, draft.nowMs)) draft.putAgent(draft.activity.renewed(record, draft.nowMs));
      }
      session.activity.keepOnly((agentId) => draft.agent(agentId) !== undefined);
      draft.writeEndedWaits();
      for (const change of session.readings.takeChanges(serverKey)) draft.putRecord(change);
    },
  };
}
