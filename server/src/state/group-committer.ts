import type { MetricsCollector } from "../metrics/metrics-collector.js";
import { CoordinationError } from "../model/coordination-error.js";
import type { CommitOutcome, CommitPart, ForeignChanges, SharedStore } from "../store/signal-store.js";
import type { Operation, QueuedOperation } from "./operation.js";
import { OperationQueues, type WaitingOperations } from "./operation-queues.js";
import type { SessionState } from "./session-state.js";
import { StaleSessions } from "./stale-sessions.js";
import { runTurns, type Turn, type TurnOptions } from "./turn.js";

/*
 * The lock of every coordination, and the group commit.
 *
 * Operations on a coordination wait in its queue. One round takes what waits in all queues, runs each coordination's
 * operations one after another on a draft, gives all drafts to the store as one commit, and applies them once that is
 * durable. While a round is on its way the next one fills, so the more waits, the more one commit carries. A coordination is
 * in one round at a time: that is its lock, and it is held across no more than one commit.
 *
 * Where several servers share the store, another one may have been faster: then the coordination is read again and its
 * operations run again. One that keeps losing leaves the rounds for a lane of its own, in which the store keeps the others
 * away from it; so a coordination that many servers fight for holds up no other one.
 */

/** What the group commit works with. */
export interface GroupCommitterOptions extends TurnOptions {
  readonly metrics: MetricsCollector;
  /** Told of every coordination after a commit that changed it. */
  readonly onApplied: (session: SessionState) => void;
}

// After so many conflicts in a row a coordination is taken from the other servers for one commit.
const maxConflicts = 2;
// Coordinations that are taken from the other servers at the same time; each takes a connection to the store.
const maxLanes = 3;

/** Runs operations on coordinations, one at a time each, and makes them durable together. */
export class GroupCommitter {
  readonly #options: GroupCommitterOptions;
  readonly #shared: SharedStore | undefined;
  readonly #queues = new OperationQueues();
  readonly #stale: StaleSessions;
  readonly #conflicts = new WeakMap<SessionState, number>();
  /** Coordinations whose next turn must look up its requests: one of them is known. */
  readonly #repeated = new WeakSet<SessionState>();
  readonly #lanes = new Set<SessionState>();
  #isRunning = false;
  #idle: (() => void)[] = [];

  constructor(options: GroupCommitterOptions) {
    this.#options = options;
    this.#shared = options.store.shared;
    this.#stale = new StaleSessions(this.#shared, options.clock);
  }

  /**
   * Runs an operation under its coordination's lock; resolves when its effect is durable and visible. Rejects with what it
   * threw, SEND_QUEUE_FULL when 10,000 operations wait already, STORE_UNAVAILABLE when the commit failed. `onSettled` is called
   * before whoever awaits it goes on.
   */
  execute<T>(session: SessionState, operation: Operation<T>, onSettled?: (session: SessionState) => void): Promise<T> {
    return new Promise<T>((resolvePromise, rejectPromise) => {
      const resolve = (value: unknown): void => {
        onSettled?.(session);
        resolvePromise(value as T);
      };
      const reject = (error: unknown): void => {
        operation.onRejected?.(error);
        onSettled?.(session);
        rejectPromise(error);
      };
      try {
        this.#queues.add(session, { operation, resolve, reject });
        this.#start();
      } catch (error) {
        reject(error);
      }
    });
  }

  /** Reads a coordination again that another server has changed. Resolves when its state here is as new as the store's. */
  refresh(session: SessionState): Promise<void> {
    this.#stale.add(session);
    return this.execute(session, { requestKeys: [], signalCount: 0, run: () => undefined });
  }

  /** Resolves when nothing waits and no commit is on its way. */
  idle(): Promise<void> {
    if (this.#isIdle) return Promise.resolve();
    return new Promise((resolve) => {
      this.#idle.push(resolve);
    });
  }

  get #isIdle(): boolean {
    return !this.#isRunning && this.#lanes.size === 0;
  }

  #start(): void {
    if (this.#isRunning) return;
    this.#isRunning = true;
    // Not at once: what the same turn of the event loop has yet to read goes into the same commit, and costs no round of its own.
    setImmediate(() => void this.#run());
  }

  async #run(): Promise<void> {
    // It finds nothing and stops in one go: what came in between would wait until something else comes.
    for (let taken = this.#take(); taken.length > 0; taken = this.#take()) await this.#round(taken);
    this.#isRunning = false;
    this.#announceIdle();
  }

  #take(): readonly WaitingOperations[] {
    this.#openLanes();
    return this.#queues.take(this.#isLeftAlone);
  }

  readonly #isLeftAlone = (session: SessionState): boolean => this.#lanes.has(session) || this.#isContended(session);

  #announceIdle(): void {
    if (!this.#isIdle) return;
    const waiting = this.#idle;
    this.#idle = [];
    for (const resolve of waiting) resolve();
  }

  async #round(taken: readonly WaitingOperations[]): Promise<void> {
    try {
      const turns = await this.#prepare(taken);
      this.#settle(turns, await this.#commit(turns));
      this.#options.metrics.setCoordinations(this.#options.store.count());
    } catch (error) {
      for (const { session, queued } of taken) this.#reject(session, queued, error);
    }
  }

  #prepare(taken: readonly WaitingOperations[]): Promise<readonly Turn[]> {
    return this.#shared === undefined ? runTurns(this.#options, taken) : this.#prepareShared(taken);
  }

  async #prepareShared(taken: readonly WaitingOperations[]): Promise<readonly Turn[]> {
    const stale = new Set(taken.map(({ session }) => session).filter((session) => this.#stale.has(session)));
    await this.#stale.refresh([...stale]);
    // Most requests are new, and looking them up first would be a round trip more for each of them.
    const turns = await runTurns(this.#options, taken, (session) => !this.#repeated.has(session));
    // What this server knows may be out of date: nothing is refused because of it.
    const doubtful = turns.filter(({ draft, session }) => draft.hasRefused && !stale.has(session));
    const undone = new Set(await this.#stale.refresh(doubtful.map(({ session }) => session)));
    for (const { session, isUndecided } of turns) if (isUndecided) undone.add(session);
    if (undone.size === 0) return turns;
    const again = await runTurns(
      this.#options,
      taken.filter(({ session }) => undone.has(session)),
    );
    return [...turns.filter(({ session }) => !undone.has(session)), ...again];
  }

  /** Commits what the turns changed; the outcomes are in their order, "committed" where nothing had to be. */
  async #commit(turns: readonly Turn[]): Promise<readonly CommitOutcome[]> {
    const { store } = this.#options;
    const changed: CommitPart[] = [];
    for (const { part } of turns) if (part !== undefined) changed.push(part);
    const outcomes =
      changed.length === 0
        ? []
        : await this.#measured(
            () => store.commit(changed),
            () => changed,
          );
    if (outcomes.length === turns.length) return outcomes;
    let next = 0;
    return turns.map(({ part }) => (part === undefined ? "committed" : (outcomes[next++] ?? "conflict")));
  }

  /** Applies and answers what was committed; what another server was faster with goes to the front of its queue. */
  #settle(turns: readonly Turn[], outcomes: readonly CommitOutcome[]): void {
    const isCommitted = (_: Turn, index: number): boolean => outcomes[index] === "committed";
    const committed = turns.every(isCommitted) ? turns : turns.filter(isCommitted);
    for (const turn of committed) this.#apply(turn);
    for (const { answers } of committed) for (const answer of answers) answer();
    for (const { session, part } of committed) if (part !== undefined) this.#options.onApplied(session);
    if (this.#shared === undefined && committed === turns) return;
    for (const [index, { session, queued }] of turns.entries()) {
      if (outcomes[index] === "conflict") this.#retry(session, queued);
      else if (outcomes[index] === "repeated") this.#lookUp(session, queued);
      else this.#repeated.delete(session);
    }
  }

  #apply({ session, draft, part }: Turn): void {
    if (part === undefined) {
      session.applyTransient(draft);
      return;
    }
    session.apply(draft);
    this.#conflicts.delete(session);
  }

  #retry(session: SessionState, queued: readonly QueuedOperation[]): void {
    this.#stale.add(session);
    this.#conflicts.set(session, (this.#conflicts.get(session) ?? 0) + 1);
    this.#queues.putBack(session, queued);
  }

  #lookUp(session: SessionState, queued: readonly QueuedOperation[]): void {
    this.#repeated.add(session);
    this.#queues.putBack(session, queued);
  }

  #reject(session: SessionState, queued: readonly QueuedOperation[], error: unknown): void {
    // Whether the store took it is not known: what it says counts.
    this.#stale.add(session);
    for (const { reject } of queued) reject(storeUnavailable(error));
  }

  #isContended(session: SessionState): boolean {
    return (this.#conflicts.get(session) ?? 0) >= maxConflicts;
  }

  /** Gives contended coordinations lanes of their own, as far as there are any; the others wait for one. */
  #openLanes(): void {
    if (this.#shared === undefined) return;
    const isTaken = (session: SessionState): boolean =>
      this.#lanes.size < maxLanes && this.#isContended(session) && !this.#lanes.has(session);
    const contended = this.#queues.take((session) => {
      if (!isTaken(session)) return true;
      this.#lanes.add(session);
      return false;
    });
    for (const { session, queued } of contended) void this.#runLane(session, queued, this.#shared);
  }

  async #runLane(session: SessionState, queued: readonly QueuedOperation[], shared: SharedStore): Promise<void> {
    try {
      await this.#commitLocked(session, queued, shared);
    } catch (error) {
      this.#reject(session, queued, error);
    } finally {
      this.#lanes.delete(session);
      this.#start();
    }
  }

  /** Commits one coordination while no other server can. */
  async #commitLocked(session: SessionState, queued: readonly QueuedOperation[], shared: SharedStore): Promise<void> {
    let turn: Turn | undefined;
    let isFoughtFor = false;
    const build = async (changes: ReadonlyMap<string, ForeignChanges>): Promise<readonly CommitPart[]> => {
      const change = changes.get(session.coordinationId);
      isFoughtFor = change !== undefined;
      if (change !== undefined) this.#stale.apply(session, change);
      [turn] = await runTurns(this.#options, [{ session, queued }]);
      return turn?.part === undefined ? [] : [turn.part];
    };
    const outcomes = await this.#measured(
      () => shared.commitLocked([session.known], build),
      () => (turn?.part === undefined ? [] : [turn.part]),
    );
    if (turn === undefined) throw new Error("the store did not build what it was to commit");
    this.#settle([turn], turn.part === undefined ? ["committed"] : outcomes);
    // Others were here meanwhile: the next commit had better keep them away as well.
    if (isFoughtFor) this.#conflicts.set(session, maxConflicts);
    else if (outcomes[0] !== "conflict") this.#conflicts.delete(session);
  }

  async #measured(
    commit: () => Promise<readonly CommitOutcome[]>,
    parts: () => readonly CommitPart[],
  ): Promise<readonly CommitOutcome[]> {
    const { clock, metrics } = this.#options;
    const startMs = clock.monotonicMs();
    const outcomes = await commit();
    let signals = 0;
    for (const part of parts()) if (part.action === "write") signals += part.entries.length;
    metrics.storeCommit(clock.monotonicMs() - startMs, signals);
    return outcomes;
  }
}

function storeUnavailable(cause: unknown): CoordinationError {
  if (cause instanceof CoordinationError) {
    const { reason, retryDelayMs } = cause;
    if (reason === "STORE_CORRUPT" || (reason === "STORE_UNAVAILABLE" && retryDelayMs !== undefined)) return cause;
  }
  return new CoordinationError(
    "STORE_UNAVAILABLE",
    "the store did not take the change; whether it is there is not known",
    { cause, retryDelayMs: 1_000 },
  );
}
