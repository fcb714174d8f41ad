import type { PumpedReader } from "../../delivery/item-sink.js";
import type { WakeRound } from "../../delivery/wake-round.js";
import { coordinationClosed } from "../../registry/agent-registry.js";
import { dependencyKey } from "../../state/dependency-record.js";
import { plainOperation } from "../../state/operation.js";
import type { SessionState } from "../../state/session-state.js";
import type { WaitInterest } from "../../state/wait-index.js";
import type { WaitRecord } from "../../state/wait-record.js";
import type { CoordinationHeader } from "../../store/signal-store.js";
import { type ConditionState, conditionStates, waitState } from "./condition-state.js";
import { EvidenceGatherer } from "./signal-evidence.js";
import { SignalMatches } from "./signal-matches.js";
import { admitWait, mayBeRefused, openWait } from "./wait-admission.js";
import type { WaitEnvironment } from "./wait-environment.js";
import { dependencyFailed, waitDeleted, waitInterrupted, waitTimeout } from "./wait-errors.js";
import { nothingMatched } from "./wait-request.js";
import { type WaitWorld, worldOfSession } from "./wait-world.js";
import type { ShownWait } from "./waits-by-session.js";

/*
 * One call that waits. It looks at the state, and when that does not end it, opens the wait, under the coordination's lock where
 * that may be refused, and holds no more than itself until something may have changed. Every look is at the whole state: a
 * wake-up that comes twice, or for nothing, does no harm, and a rollback needs no care of its own. What takes time is one step
 * after the other; a wake-up meanwhile is answered by the look that follows each step.
 */

// A log that grows faster than it can be searched is not a reason to refuse a wait.
const maxAdmissions = 8;

/** Whom a wait tells how it ended. It may be told again, or of what happens after it has let the wait go. */
export interface WaitOwner {
  satisfied(states: readonly ConditionState[]): void;
  failed(error: unknown): void;
}

/** What a wait is made of. */
export interface OpenWaitOptions {
  readonly environment: WaitEnvironment & { readonly round: WakeRound };
  readonly session: SessionState;
  readonly record: WaitRecord;
  readonly owner: WaitOwner;
}

/** A call that waits for conditions. */
export class OpenWait implements PumpedReader, ShownWait {
  readonly wait: WaitRecord;
  readonly #environment: OpenWaitOptions["environment"];
  readonly #session: SessionState;
  readonly #owner: WaitOwner;
  /** Undefined where no condition asks for signals. */
  readonly #matches: SignalMatches | undefined;
  readonly #unpark: () => void;
  readonly #timer: NodeJS.Timeout;
  #epoch: string;
  /** A step is on its way: the next look follows it. */
  #isBusy = false;
  #isWoken = false;
  #hasScanned = false;
  #isAdmitted = false;
  #hasAsked = false;
  #isBeingOpened = false;
  #isTimeOver = false;
  #hasLookedAgain = false;
  #hasLeft = false;
  #loop: Error | undefined;

  constructor({ environment, session, record, owner }: OpenWaitOptions) {
    this.wait = record;
    this.#environment = environment;
    this.#session = session;
    this.#owner = owner;
    const asksForSignals = record.conditions.some(({ kind }) => kind === "signal");
    this.#matches = asksForSignals ? new SignalMatches({ ...environment, session, wait: record }) : undefined;
    this.#epoch = session.header?.epoch ?? "";
    this.#unpark = session.parkedWaits.park(interestOf(record), () => this.#wake());
    this.#timer = setTimeout(endTime, record.expireTimeMs - record.startTimeMs, this);
    session.activity.subscriptionOpened(record.agentId);
  }

  get waitId(): string {
    return this.wait.waitId;
  }

  /** Others should see it once it was found to be no part of a loop, and goes on. */
  get shown(): WaitRecord | undefined {
    return this.#isAdmitted && this.#loop === undefined ? this.wait : undefined;
  }

  /** Whether it was opened: what it waits for was not there yet. */
  get hasWaited(): boolean {
    return this.#isAdmitted;
  }

  /** The wait as it stands. */
  get current(): WaitRecord {
    return this.#matches === undefined ? this.wait : { ...this.wait, matched: this.#matches.matched };
  }

  /** How its conditions stand. */
  get states(): readonly ConditionState[] {
    return conditionStates(this.current, this.#session);
  }

  get isShownOpen(): boolean {
    return this.#hasAsked;
  }

  get isBeingOpened(): boolean {
    return this.#isBeingOpened;
  }

  /** Whether what is on its way for it need not go on: it was left, the server stops, or its time is over while it waits for a turn. */
  get aborted(): boolean {
    const isLate = this.#isTimeOver && this.#matches?.isTurnOver === true;
    return this.#hasLeft || this.#environment.isDraining() || isLate;
  }

  /** Ends it because it is the youngest of a loop that has formed. */
  breakLoop(error: Error): void {
    this.#loop = error;
    this.#wake();
  }

  /** Ends its time. */
  expire(): void {
    this.#isTimeOver = true;
    this.resume();
  }

  /** Looks whether something ends it. */
  resume(): void {
    this.#isWoken = false;
    if (this.#isBusy || this.#hasLeft) return;
    try {
      const step = this.#look();
      if (step !== undefined) void this.#lookAfter(step);
    } catch (error) {
      this.#owner.failed(error);
    }
  }

  leave(): void {
    if (this.#hasLeft) return;
    const { activity, agents } = this.#session;
    const { agentId } = this.wait;
    this.#hasLeft = true;
    this.#unpark();
    clearTimeout(this.#timer);
    activity.subscriptionClosed(agentId);
    if (agents.has(agentId)) activity.note(agentId, this.#environment.clock.nowMs(), this.#heldItUp);
  }

  /**
   * Whether it kept its agent from going on. Then its end, whatever it is, is a move: from now on the agent can act, and counts as
   * stalled only when it has had the time to.
   */
  get #heldItUp(): boolean {
    return this.#isAdmitted && !this.wait.independent;
  }

  #wake(): void {
    if (this.#isWoken) return;
    this.#isWoken = true;
    this.#environment.round.add(this);
  }

  /** Tells its owner what ends it, or does what has to be done before it can wait: a step, if that takes time. */
  #look(): Promise<unknown> | undefined {
    if (this.#environment.isDraining()) throw waitInterrupted();
    if (!this.#hasScanned && this.#matches?.isCurrent === false) return this.#scan(this.#matches);
    this.#hasScanned = false;
    const header = this.#checkedHeader();
    const { states } = this;
    if (this.#isSatisfied(states)) {
      this.#owner.satisfied(states);
      return undefined;
    }
    if (this.#loop !== undefined) throw this.#loop;
    if (header?.closeTimeMs !== undefined) throw coordinationClosed(header.coordinationId, header.closeReason);
    if (this.#isTimeOver && this.#hasLookedAgain) throw this.#timeout();
    if (this.#isTimeOver) return this.#lookAgain();
    if (!this.#session.waits.has(this.wait.waitId)) return this.#open();
    return this.#isShown() ? undefined : this.#show();
  }

  async #lookAfter(step: Promise<unknown>): Promise<void> {
    this.#isBusy = true;
    try {
      await step;
      this.#isBusy = false;
      this.resume();
    } catch (error) {
      this.#isBusy = false;
      this.#owner.failed(error);
    }
  }

  /** What comes while the others look at what was found is for the next look. */
  async #scan(matches: SignalMatches): Promise<void> {
    await matches.advance(this);
    this.#hasScanned = true;
  }

  #isSatisfied(states: readonly ConditionState[]): boolean {
    const state = waitState(this.wait, states);
    if (state.is === "failed") throw dependencyFailed(this.wait, state, this.#environment.hidden);
    return state.is === "satisfied";
  }

  /** The coordination as it is now; undefined while it has not begun. Throws COORDINATION_NOT_FOUND once it was deleted. */
  #checkedHeader(): CoordinationHeader | undefined {
    const { header, coordinationId } = this.#session;
    if (this.#epoch === "") this.#epoch = header?.epoch ?? "";
    if (header?.epoch !== this.#epoch && this.#epoch !== "") throw waitDeleted(coordinationId);
    return header;
  }

  get #world(): WaitWorld {
    const { owner, clock } = this.#environment;
    return worldOfSession(this.#session, { owner, nowMs: clock.nowMs() });
  }

  /** Opens it: at once where nothing can be against it and nobody else has to be told. */
  #open(): Promise<void> | undefined {
    this.#hasAsked = true;
    if (this.#environment.isShared || mayBeRefused(this.wait, this.#session, this.#world)) return this.#openUnderLock();
    this.#session.putWait(this.current, false);
    this.#isAdmitted = true;
    return undefined;
  }

  /** Throws DEADLOCK, TOO_MANY_WAITS. */
  async #openUnderLock(): Promise<void> {
    this.#isBeingOpened = true;
    try {
      await this.#admit();
    } finally {
      this.#isBeingOpened = false;
    }
  }

  async #admit(): Promise<void> {
    const gatherer = new EvidenceGatherer(this.#environment, this.#session);
    if (this.#matches !== undefined) gatherer.know(this.wait, this.#matches);
    for (let attempt = 1; attempt <= maxAdmissions && !this.aborted; attempt++) {
      const admission = await this.#execute((draft) => admitWait(draft, this.current, gatherer.evidence));
      if (admission.is === "open") this.#isAdmitted = true;
      if (admission.is !== "doubtful") return;
      await gatherer.gather(admission.unsure, this);
    }
    if (this.aborted) return;
    await this.#execute((draft) => openWait(draft, this.current));
    this.#isAdmitted = true;
  }

  /** Whether others see which signals have come. */
  #isShown(): boolean {
    if (this.#matches === undefined) return true;
    const shown = this.#session.waits.get(this.wait.waitId)?.matched ?? nothingMatched;
    const matched = Object.entries(this.#matches.matched);
    return Object.keys(shown).length === matched.length && matched.every(([key, value]) => shown[key] === value);
  }

  #show(): Promise<void> | undefined {
    if (!this.#environment.isShared) {
      this.#session.putWait(this.current, true);
      return undefined;
    }
    return this.#execute((draft) => {
      if (draft.waits.get(this.wait.waitId) !== undefined) draft.waits.put(this.current);
    });
  }

  /** What another server has stored may not have come here yet: a wait does not end for want of news. */
  #lookAgain(): Promise<void> {
    this.#hasLookedAgain = true;
    return this.#environment.directory.withLatest(this.#session.coordinationId, () => undefined);
  }

  #timeout(): Error {
    const world = this.#world;
    const others = world.waits.filter(({ waitId }) => waitId !== this.wait.waitId);
    return waitTimeout(this.current, { ...world, waits: [...others, this.current] }, this.#environment.hidden);
  }

  #execute<T>(run: Parameters<typeof plainOperation<T>>[0]): Promise<T> {
    return this.#environment.directory.execute(this.#session.coordinationId, plainOperation(run));
  }
}

function endTime(wait: OpenWait): void {
  wait.expire();
}

function interestOf({ conditions }: WaitRecord): WaitInterest {
  const dependencies: string[] = [];
  const agentIds: string[] = [];
  let typeMask = 0;
  for (const condition of conditions) {
    if (condition.kind === "agent") agentIds.push(condition.agentId);
    if (condition.kind === "signal") typeMask |= condition.typeMask;
    if (condition.kind !== "dependency") continue;
    dependencies.push(dependencyKey(condition.dependencyType, condition.dependencyId));
    agentIds.push(...condition.expectedFrom);
  }
  return { dependencies, agentIds, typeMask };
}
