import type { WakeRound } from "../../delivery/wake-round.js";
import { CoordinationError } from "../../model/coordination-error.js";
import type { Operation } from "../../state/operation.js";
import type { SessionState } from "../../state/session-state.js";
import type { ConditionState } from "./condition-state.js";
import { endedWait } from "./end-of-wait.js";
import { OpenWait, type WaitOwner } from "./open-wait.js";
import type { WaitCall, WaitSink } from "./wait-call.js";
import type { WaitCount } from "./wait-count.js";
import type { WaitEnvironment } from "./wait-environment.js";
import { type WaitRequest, waitRecordOf } from "./wait-request.js";
import type { WaitsBySession } from "./waits-by-session.js";

/** What the calls that wait share. */
export interface HeldWaitEnvironment extends WaitEnvironment {
  readonly round: WakeRound;
  readonly count: WaitCount;
  readonly sessions: WaitsBySession;
}

/** A call that waits: what has to be freed when it ends, and whom it answers. It ends once. */
export class HeldWait implements WaitCall, WaitOwner {
  readonly #environment: HeldWaitEnvironment;
  readonly #sink: WaitSink;
  #session: SessionState | undefined;
  #wait: OpenWait | undefined;
  #isCounted = false;
  #isOver = false;
  #hasLeft = false;

  constructor(environment: HeldWaitEnvironment, sink: WaitSink) {
    this.#environment = environment;
    this.#sink = sink;
  }

  /** Begins to wait; whatever fails, the sink is told. */
  begin(request: WaitRequest, check: Operation<void> | undefined): void {
    if (check === undefined) this.#enter(request);
    else void this.#enterChecked(request, check);
  }

  satisfied(states: readonly ConditionState[]): void {
    if (this.#isOver) return;
    this.#isOver = true;
    this.#sink.succeed(states);
    this.#free(undefined);
  }

  failed(error: unknown): void {
    if (this.#isOver) return;
    this.#isOver = true;
    if (this.#isSeenElsewhere) void this.#failOnceGone(error);
    else {
      this.#sink.fail(error);
      this.#free(error);
    }
  }

  leave(reason: unknown): void {
    this.#hasLeft = true;
    if (this.#isOver) return;
    this.#isOver = true;
    this.#free(reason);
  }

  /** Whether other servers take it for open: what holds up nobody any more must not hold up those who ask there next. */
  get #isSeenElsewhere(): boolean {
    return this.#environment.isShared && this.#wait?.hasWaited === true;
  }

  async #failOnceGone(error: unknown): Promise<void> {
    await this.#free(error);
    if (!this.#hasLeft) this.#sink.fail(error);
  }

  async #enterChecked(request: WaitRequest, check: Operation<void>): Promise<void> {
    try {
      await this.#environment.directory.execute(request.coordinationId, check);
      if (!this.#isOver) this.#enter(request);
    } catch (error) {
      this.failed(error);
    }
  }

  /** Nothing stands between a wait and a coordination that is in memory. */
  #enter(request: WaitRequest): void {
    const { count, directory } = this.#environment;
    try {
      count.add();
      this.#isCounted = true;
      const session = directory.pinAtHand(request.coordinationId);
      if (session === undefined) void this.#enterLater(request);
      else this.#open(session, request);
    } catch (error) {
      this.failed(error);
    }
  }

  async #enterLater(request: WaitRequest): Promise<void> {
    const { directory } = this.#environment;
    try {
      const session = await directory.pinCurrent(request.coordinationId);
      if (this.#isOver) directory.unpin(session);
      else this.#open(session, request);
    } catch (error) {
      this.failed(error);
    }
  }

  #open(session: SessionState, request: WaitRequest): void {
    this.#session = session;
    const record = waitRecordOf(request, this.#environment);
    this.#wait = new OpenWait({ environment: this.#environment, session, record, owner: this });
    this.#environment.sessions.add(session, this.#wait);
    this.#wait.resume();
  }

  /** Lets go of everything. Resolves when nobody sees it as open any more, or the store has not taken that; undefined when that is now. */
  #free(error: unknown): Promise<void> | undefined {
    const { directory, sessions, count } = this.#environment;
    const session = this.#session;
    const wait = this.#wait;
    let gone: Promise<void> | undefined;
    if (session !== undefined && wait !== undefined) {
      this.#noteEnd(session, wait, error);
      wait.leave();
      gone = sessions.remove(session, wait);
    }
    if (session !== undefined) directory.unpin(session);
    if (this.#isCounted) count.remove();
    this.#wait = undefined;
    this.#session = undefined;
    return gone;
  }

  /** Keeps for those who look back that somebody waited, and that somebody was not allowed to. */
  #noteEnd(session: SessionState, wait: OpenWait, error: unknown): void {
    const isRefusedLoop = error instanceof CoordinationError && error.reason === "DEADLOCK";
    if (session.header === undefined || !(wait.hasWaited || isRefusedLoop)) return;
    const nowMs = this.#environment.clock.nowMs();
    session.endedWaits.add(endedWait({ wait: wait.current, states: wait.states, error, nowMs }));
  }
}
