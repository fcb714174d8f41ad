import type { StoredSignal } from "../../coordination/stored-signal.js";
import { CoordinationError } from "../../model/coordination-error.js";
import { coordinationNotFound } from "../../registry/agent-registry.js";
import { removedRangeAt } from "../../state/removed-ranges.js";
import type { SessionState } from "../../state/session-state.js";
import type { SubscriptionRecord } from "../../state/subscription-record.js";
import { WakeLatch } from "../../state/wake-latch.js";
import type { CoordinationHeader } from "../../store/signal-store.js";
import { type AcknowledgementEnvironment, isOfEndedProcess } from "./acknowledgement-environment.js";
import {
  ackTimeout,
  closedUnacknowledged,
  interruptedUnacknowledged,
  notAcknowledged,
  type UnacknowledgedBy,
} from "./acknowledgement-errors.js";
import { couldGet, type RequiredAcks } from "./required-acks.js";
import { computedStanding, knownStanding, requiredTime, type SignalStanding } from "./signal-standing.js";

/** What a call that waits for acknowledgements works with. */
export interface AckWaitOptions extends RequiredAcks {
  readonly environment: AcknowledgementEnvironment;
  readonly session: SessionState;
  readonly stored: StoredSignal;
  readonly abort: AbortSignal;
}

/**
 * A call that waits until agents have acknowledged a signal that is stored. It keeps nothing of its own: whenever something of the signal
 * changes it looks at what is durable, so that a call that is repeated, after a restart or on another server, sees the same.
 */
export class AckWait {
  readonly #options: AckWaitOptions;
  readonly #latch = new WakeLatch();
  /** Whether the signal is a subscription's, by the subscription's secret: that never changes. */
  readonly #isIts = new Map<string, boolean>();
  readonly #acknowledged = new Set<string>();
  #isTimeOver = false;
  #hasLookedAgain = false;

  constructor(options: AckWaitOptions) {
    this.#options = options;
  }

  /**
   * Resolves when all have acknowledged. Rejects with NOT_ACKNOWLEDGED, REQUEST_TIMEOUT, ROLLED_BACK (the signal was taken out of the
   * log), COORDINATION_CLOSED, COORDINATION_NOT_FOUND (it was deleted), SHUTTING_DOWN, and with the signal's reason when the
   * caller has gone.
   */
  async run(): Promise<void> {
    const { session, stored, timeoutMs, abort } = this.#options;
    const { senderAgentId } = stored.entry.facts;
    const unwatch = session.named.watchSignal(stored.sequence, this.#latch.set);
    // Woken with all waits: when the coordination is closed, deleted or rolled back, and when the server stops.
    const leave = session.parkedWaits.park({}, this.#latch.set);
    const timer = setTimeout(() => this.#endTime(), timeoutMs);
    abort.addEventListener("abort", this.#latch.set);
    session.activity.subscriptionOpened(senderAgentId);
    try {
      await this.#untilEnded();
    } finally {
      unwatch();
      leave();
      clearTimeout(timer);
      abort.removeEventListener("abort", this.#latch.set);
      session.activity.subscriptionClosed(senderAgentId);
    }
  }

  #endTime(): void {
    this.#isTimeOver = true;
    this.#latch.set();
  }

  async #untilEnded(): Promise<void> {
    const { environment, session, stored, timeoutMs, abort } = this.#options;
    for (;;) {
      abort.throwIfAborted();
      const header = this.#checkedHeader();
      const missing = environment.matchers.onOneBudget(() => this.#missing());
      if (missing.length === 0) return;
      if (environment.isDraining()) throw interruptedUnacknowledged(stored);
      if (header.closeTimeMs !== undefined) throw closedUnacknowledged(stored, header);
      if (this.#isTimeOver && this.#hasLookedAgain) throw ackTimeout(stored, timeoutMs, missing);
      if (this.#isTimeOver) {
        this.#hasLookedAgain = true;
        await environment.directory.withLatest(session.coordinationId, () => undefined);
      } else {
        await this.#latch.next();
      }
    }
  }

  /** Who has not acknowledged yet. Throws NOT_ACKNOWLEDGED where one of them never will. */
  #missing(): readonly UnacknowledgedBy[] {
    const pending: UnacknowledgedBy[] = [];
    const failed: UnacknowledgedBy[] = [];
    for (const agentId of this.#options.agentIds) {
      if (this.#acknowledged.has(agentId)) continue;
      const standing = this.#standingOf(agentId);
      if (standing?.is === "acknowledged") this.#acknowledged.add(agentId);
      else (isPending(standing) ? pending : failed).push({ agentId, why: describe(standing) });
    }
    if (failed.length > 0) throw notAcknowledged(this.#options.stored, failed);
    return pending;
  }

  /** How the signal stands at the subscription of an agent that is nearest to an acknowledgement; undefined where none gets it. */
  #standingOf(agentId: string): SignalStanding | undefined {
    const { session, stored } = this.#options;
    const time = requiredTime(session.named, agentId, stored.sequence);
    if (time !== undefined) return { is: "acknowledged", time };
    let nearest: SignalStanding | undefined;
    for (const subscription of session.named.definitions.values()) {
      const standing = subscription.agentId === agentId ? this.#standingAt(subscription) : undefined;
      if (standing?.is === "acknowledged") return standing;
      if (standing !== undefined && (nearest === undefined || isPending(standing))) nearest = standing;
    }
    return nearest;
  }

  #standingAt(subscription: SubscriptionRecord): SignalStanding | undefined {
    const { environment, session, stored } = this.#options;
    const known = knownStanding(session.named, subscription, {
      sequence: stored.sequence,
      nowMs: environment.clock.nowMs(),
      isOfEndedProcess: (lease) => isOfEndedProcess(environment, lease),
    });
    if (known !== undefined) return known;
    const { secret } = subscription;
    const isIts = this.#isIts.get(secret) ?? couldGet(subscription, stored.entry, environment.matchers);
    this.#isIts.set(secret, isIts);
    return isIts ? computedStanding(session.named, subscription, stored.entry) : undefined;
  }

  #checkedHeader(): CoordinationHeader {
    const { session, stored } = this.#options;
    const { header } = session;
    if (header?.epoch !== stored.epoch) throw coordinationNotFound(session.coordinationId);
    const { sequence, signalId } = stored;
    const removed = removedRangeAt(header.removedRanges, { sequence, generation: undefined });
    if (removed === undefined) return header;
    throw new CoordinationError("ROLLED_BACK", `the signal, sequence ${sequence}, was rolled back`, {
      metadata: { signal_id: signalId, resume_after_sequence: String(removed.afterSequence) },
    });
  }
}

function isPending(standing: SignalStanding | undefined): boolean {
  return standing?.is === "outstanding" || standing?.is === "waiting" || standing?.is === "notYet";
}

function describe(standing: SignalStanding | undefined): string {
  switch (standing?.is) {
    case undefined:
      return "no named subscription of it could get the signal";
    case "acknowledged":
      return "it has acknowledged it";
    case "outstanding":
      return `it was delivered, attempt ${standing.delivery.attempt}`;
    case "waiting":
      return `it is to be delivered again after attempt ${standing.delivery.attempt}`;
    case "notYet":
      return "it was not delivered yet";
    case "settled":
      return "what became of it is not known any more";
    case "deadLettered":
      return describeLetter(standing.letter);
  }
}

function describeLetter({
  cause,
  attempts,
  detail,
}: (SignalStanding & { readonly is: "deadLettered" })["letter"]): string {
  const said = detail === "" ? "" : `: ${detail}`;
  switch (cause) {
    case "rejected":
      return `it was rejected${said}`;
    case "maxAttempts":
      return `it was delivered ${attempts} times and not acknowledged${said}`;
    case "retention":
      return "it left the history before it was acknowledged";
    case "filterBudget":
      if (attempts > 0) return `it could not be made ready for delivery in ${attempts} attempts${said}`;
      return `its filter could not say whether it matches${said}`;
  }
}
