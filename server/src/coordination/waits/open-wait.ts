import { coordinationClosed } from "../../registry/agent-registry.js";
import { dependencyKey } from "../../state/dependency-record.js";
import type { SessionState } from "../../state/session-state.js";
import type { WaitInterest } from "../../state/wait-index.js";
import type { WaitRecord } from "../../state/wait-record.js";
import { WakeLatch } from "../../state/wake-latch.js";
import type { CoordinationHeader } from "../../store/signal-store.js";
import { type ConditionState, conditionStates, waitState } from "./condition-state.js";
import { EvidenceGatherer } from "./signal-evidence.js";
import { SignalMatches } from "./signal-matches.js";
import { admitWait, openWait } from "./wait-admission.js";
import { plainOperation, type WaitEnvironment } from "./wait-environment.js";
import { dependencyFailed, waitDeleted, waitInterrupted, waitTimeout } from "./wait-errors.js";
import { worldOfSession } from "./wait-world.js";

/*
 * One call that waits. It looks at the state, and when that does not end it, opens the wait under the coordination's lock, where
 * loops are found, and sleeps until something may have changed. Every look is at the whole state: a wake-up that comes twice, or
 * for nothing, does no harm, and a rollback needs no care of its own.
 */

// A log that grows faster than it can be searched is not a reason to refuse a wait.
const maxAdmissions = 8;

/** A call that waits for conditions. */
export class OpenWait {
  readonly wait: WaitRecord;
  readonly #environment: WaitEnvironment;
  readonly #session: SessionState;
  readonly #abort: AbortSignal;
  readonly #matches: SignalMatches;
  readonly #latch = new WakeLatch();
  #epoch: string;
  #isAdmitted = false;
  #hasAsked = false;
  #isTimeOver = false;
  #hasLookedAgain = false;
  #loop: Error | undefined;

  constructor(options: {
    readonly environment: WaitEnvironment;
    readonly session: SessionState;
    readonly wait: WaitRecord;
    readonly abort: AbortSignal;
  }) {
    this.wait = options.wait;
    this.#environment = options.environment;
    this.#session = options.session;
    this.#abort = options.abort;
    this.#matches = new SignalMatches({ ...options.environment, session: options.session, wait: options.wait });
    this.#epoch = options.session.header?.epoch ?? "";
  }

  /** Resolves when it is met. Rejects with what ends it otherwise, and with the signal's reason when the caller has gone. */
  async run(): Promise<readonly ConditionState[]> {
    const { activity, parkedWaits } = this.#session;
    const { agentId, startTimeMs, expireTimeMs } = this.wait;
    const leave = parkedWaits.park(interestOf(this.wait), this.#latch.set);
    const timer = setTimeout(() => {
      this.#isTimeOver = true;
      this.#latch.set();
    }, expireTimeMs - startTimeMs);
    this.#abort.addEventListener("abort", this.#latch.set);
    activity.subscriptionOpened(agentId);
    try {
      return await this.#untilEnded();
    } finally {
      leave();
      clearTimeout(timer);
      this.#abort.removeEventListener("abort", this.#latch.set);
      activity.subscriptionClosed(agentId);
      if (this.#session.agents.has(agentId)) activity.note(agentId, this.#environment.clock.nowMs(), false);
    }
  }

  /** Whether it was found to be no part of a loop and goes on: then others should see it. */
  get isAdmitted(): boolean {
    return this.#isAdmitted && this.#loop === undefined;
  }

  /** Whether it was opened: what it waits for was not there yet. */
  get hasWaited(): boolean {
    return this.#isAdmitted;
  }

  /** The wait as it stands. */
  get current(): WaitRecord {
    return { ...this.wait, matched: this.#matches.matched };
  }

  /** How its conditions stand. */
  get states(): readonly ConditionState[] {
    return conditionStates(this.current, this.#facts());
  }

  /** Whether others may see it as open. */
  get isShownOpen(): boolean {
    return this.#hasAsked;
  }

  /** Ends it because it is the youngest of a loop that has formed. */
  fail(error: Error): void {
    this.#loop = error;
    this.#latch.set();
  }

  async #untilEnded(): Promise<readonly ConditionState[]> {
    for (;;) {
      this.#abort.throwIfAborted();
      if (this.#environment.isDraining()) throw waitInterrupted();
      await this.#matches.advance(this.#abort);
      const header = this.#checkedHeader();
      const { states } = this;
      if (this.#isSatisfied(states)) return states;
      if (this.#loop !== undefined) throw this.#loop;
      if (header?.closeTimeMs !== undefined) throw coordinationClosed(header.coordinationId, header.closeReason);
      if (this.#isTimeOver && this.#hasLookedAgain) throw this.#timeout();
      if (this.#isTimeOver) await this.#lookAgain();
      else if (!this.#session.waits.has(this.wait.waitId)) await this.#open();
      else if (!this.#isShown()) await this.#show();
      else await this.#latch.next();
    }
  }

  #isSatisfied(states: readonly ConditionState[]): boolean {
    const state = waitState(this.wait, states);
    if (state.is === "failed") throw dependencyFailed(this.wait, state);
    return state.is === "satisfied";
  }

  /** The coordination as it is now; undefined while it has not begun. Throws COORDINATION_NOT_FOUND once it was deleted. */
  #checkedHeader(): CoordinationHeader | undefined {
    const { header, coordinationId } = this.#session;
    if (this.#epoch === "") this.#epoch = header?.epoch ?? "";
    if (header?.epoch !== this.#epoch && this.#epoch !== "") throw waitDeleted(coordinationId);
    return header;
  }

  #facts() {
    const { agents, dependencies } = this.#session;
    return {
      agent: (agentId: string) => agents.get(agentId),
      dependency: (key: string) => dependencies.get(key),
    };
  }

  /** Throws DEADLOCK, TOO_MANY_WAITS. */
  async #open(): Promise<void> {
    const gatherer = new EvidenceGatherer(this.#environment, this.#session);
    gatherer.know(this.wait, this.#matches);
    this.#hasAsked = true;
    for (let attempt = 1; attempt <= maxAdmissions && !this.#abort.aborted; attempt++) {
      const admission = await this.#execute((draft) => admitWait(draft, this.current, gatherer.evidence));
      if (admission.is === "open") this.#isAdmitted = true;
      if (admission.is !== "doubtful") return;
      await gatherer.gather(admission.unsure, this.#abort);
    }
    await this.#execute((draft) => openWait(draft, this.current));
    this.#isAdmitted = true;
  }

  /** Whether others see which signals have come. */
  #isShown(): boolean {
    const shown = this.#session.waits.get(this.wait.waitId)?.matched ?? {};
    const matched = Object.entries(this.#matches.matched);
    return Object.keys(shown).length === matched.length && matched.every(([key, value]) => shown[key] === value);
  }

  async #show(): Promise<void> {
    await this.#execute((draft) => {
      if (draft.waits.get(this.wait.waitId) !== undefined) draft.waits.put(this.current);
    });
  }

  /** What another server has stored may not have come here yet: a wait does not end for want of news. */
  async #lookAgain(): Promise<void> {
    this.#hasLookedAgain = true;
    await this.#environment.directory.withLatest(this.#session.coordinationId, () => undefined);
  }

  #timeout(): Error {
    const { owner, clock } = this.#environment;
    const world = worldOfSession(this.#session, { owner, nowMs: clock.nowMs() });
    const others = world.waits.filter(({ waitId }) => waitId !== this.wait.waitId);
    return waitTimeout(this.wait, { ...world, waits: [...others, this.current] });
  }

  #execute<T>(run: Parameters<typeof plainOperation<T>>[0]): Promise<T> {
    return this.#environment.directory.execute(this.#session.coordinationId, plainOperation(run));
  }
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
