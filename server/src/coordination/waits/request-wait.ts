import { create, toBinary } from "@bufbuild/protobuf";
import { SignalFilterSchema } from "@coordination-signals/proto/coordination/v1/signal";
import { allTypesMask } from "../../model/signal-filter.js";
import { nextId } from "../../model/signal-ids.js";
import type { Draft } from "../../state/draft.js";
import type { SessionState } from "../../state/session-state.js";
import type { WaitRecord } from "../../state/wait-record.js";
import type { StoredSignal } from "../stored-signal.js";
import type { ConditionState } from "./condition-state.js";
import { endedWait } from "./end-of-wait.js";
import type { ReplyTime } from "./open-request.js";
import { checkRoom, openWait } from "./wait-admission.js";
import type { WaitEnvironment } from "./wait-environment.js";
import { nothingMatched } from "./wait-request.js";
import type { ShownWait } from "./waits-by-session.js";

/**
 * What others see of a call that waits for the reply to a request: a wait for a signal. It holds nobody up, as its agent may well
 * answer others meanwhile: agents that ask each other are no deadlock. It begins in the commit that stores the request.
 */
export class RequestWait implements ShownWait {
  readonly waitId = nextId();
  readonly isBeingOpened = false;
  readonly #environment: WaitEnvironment;
  readonly #time: ReplyTime;
  #record: WaitRecord | undefined;

  constructor(environment: WaitEnvironment, time: ReplyTime) {
    this.#environment = environment;
    this.#time = time;
  }

  get shown(): WaitRecord | undefined {
    return this.#record;
  }

  get isShownOpen(): boolean {
    return this.#record !== undefined;
  }

  /** It is part of no loop. */
  breakLoop(): void {}

  /** Begins it, under the coordination's lock, for a request that is stored. Throws TOO_MANY_WAITS. */
  open(draft: Draft, request: StoredSignal): void {
    const { clock, owner } = this.#environment;
    const { timeoutMs, waitMs } = this.#time;
    const { sequence, signalId, timestampMs, entry } = request;
    const startTimeMs = clock.nowMs();
    const { senderAgentId, recipientAgentIds } = entry.facts;
    checkRoom(draft, this.waitId);
    this.#record = {
      waitId: this.waitId,
      agentId: senderAgentId,
      conditions: [
        {
          kind: "signal",
          filter: replyFilter(signalId, senderAgentId),
          senders: recipientAgentIds,
          typeMask: allTypesMask,
          replyTo: String(sequence),
        },
      ],
      mode: "all",
      needed: 1,
      independent: true,
      startTimeMs,
      expireTimeMs: Math.min(timestampMs + timeoutMs, startTimeMs + waitMs),
      owner,
      matched: nothingMatched,
    };
    openWait(draft, this.#record, false);
  }

  /** Keeps for those who look back how it ended: with the reply's sequence, or with an error. */
  noteEnd(session: SessionState, end: { readonly reply: bigint } | { readonly error: unknown }): void {
    if (this.#record === undefined || session.header === undefined) return;
    const nowMs = this.#environment.clock.nowMs();
    const state: ConditionState = "reply" in end ? { is: "satisfied", sequence: end.reply } : { is: "pending" };
    const error = "error" in end ? end.error : undefined;
    session.endedWaits.add(endedWait({ wait: this.#record, states: [state], error, nowMs }));
  }
}

/** As `isReply` tells a reply. The names of agents and the ids of signals have no characters that mean anything in a string. */
function replyFilter(signalId: string, senderAgentId: string): string {
  const expression = `signal.correlation_id == "${signalId}" && signal.sender_agent_id != "${senderAgentId}"`;
  return Buffer.from(toBinary(SignalFilterSchema, create(SignalFilterSchema, { expression }))).toString("base64");
}
