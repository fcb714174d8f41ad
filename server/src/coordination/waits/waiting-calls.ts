import type { AcknowledgedSubscriptions } from "../../delivery/acknowledged/acknowledged-subscriptions.js";
import type { RequiredAcks } from "../../delivery/acknowledged/required-acks.js";
import type { MetricsCollector } from "../../metrics/metrics-collector.js";
import type { LogEntry } from "../../model/log-entry.js";
import type { PreparedSignal } from "../../model/prepared-signal.js";
import type { CompiledTransform } from "../../model/transform/signal-transform.js";
import { type AgentValidationOptions, checksWaits, validateWait } from "../../registry/agent-validation.js";
import { plainOperation } from "../../state/operation.js";
import type { SessionState } from "../../state/session-state.js";
import { appendChecked } from "../append-signals.js";
import type { StoredSignal } from "../stored-signal.js";
import { takesNoChanges } from "../takes-no-changes.js";
import type { ConditionState } from "./condition-state.js";
import { OpenRequest, type Reply, type ReplyTime } from "./open-request.js";
import { OpenWaits } from "./open-waits.js";
import { RequestWait } from "./request-wait.js";
import { checkResponders } from "./responders.js";
import { answerOf, type WaitCall, type WaitSink } from "./wait-call.js";
import type { WaitEnvironment } from "./wait-environment.js";
import { agentsNamedIn } from "./wait-providers.js";
import type { WaitRequest } from "./wait-request.js";

/** What the calls that wait work with. */
export interface WaitingCallsOptions {
  readonly environment: WaitEnvironment;
  readonly acknowledged: AcknowledgedSubscriptions;
  readonly validation: AgentValidationOptions;
  readonly metrics: MetricsCollector;
  readonly maxWaits: number;
  /** What becomes of every signal before it is handed out; undefined leaves them as they are. */
  readonly outgoing: CompiledTransform | undefined;
}

/** The calls that are answered when something has come: conditions, a reply, acknowledgements. Together they are `--max-waits`. */
export class WaitingCalls {
  readonly #options: WaitingCallsOptions;
  readonly #open: OpenWaits;

  constructor(options: WaitingCallsOptions) {
    this.#options = options;
    this.#open = new OpenWaits(options);
  }

  /** Calls that wait on this server now. */
  get openCount(): number {
    return this.#open.openCount;
  }

  /** Waits for conditions; see `OpenWaits.open`. Refused with AGENT_NOT_REGISTERED, AGENT_NOT_FOUND where a policy enforces. */
  open(request: WaitRequest, sink: WaitSink): WaitCall {
    const { validation } = this.#options;
    if (!checksWaits(validation)) return this.#open.open(request, sink);
    const waiterId = request.agentId;
    const awaitedIds = request.conditions.flatMap(agentsNamedIn);
    const check = plainOperation((draft) => validateWait(draft, { waiterId, awaitedIds }, validation));
    return this.#open.open(request, sink, check);
  }

  /** As `open`, for those who await the answer; see `answerOf`. */
  waitFor(request: WaitRequest, abort: AbortSignal): Promise<readonly ConditionState[]> {
    return answerOf((sink) => this.open(request, sink), abort);
  }

  /**
   * Sends a signal that asks for a reply and waits for it; repeated with the same request_id, goes on waiting. Throws what refuses
   * the signal, NO_RESPONDERS, TOO_MANY_WAITS, and what `OpenRequest.run` rejects with.
   */
  request(signal: PreparedSignal, time: ReplyTime): Promise<Reply> {
    this.#checkTakesChanges();
    const { environment, validation, metrics } = this.#options;
    const { coordinationId } = signal.facts;
    const wait = new RequestWait(environment, time);
    const append = appendChecked(signal, validation, (draft, stored) => {
      if (!stored.isDeduplicated) checkResponders(draft, signal.signal);
      wait.open(draft, stored);
    });
    const ask = async (session: SessionState): Promise<Reply> => {
      const request = await environment.directory.execute(coordinationId, append);
      if (!request.isDeduplicated) metrics.signalSent(signal.facts.type, 1);
      return untilReply(new OpenRequest({ environment, session, request, ...time }), session, wait);
    };
    return this.#open.hold(coordinationId, async (session) => {
      const { request, reply } = await this.#open.showDuring(session, wait, () => ask(session));
      return { request: this.#handedOut(request), reply: this.#handedOut(reply) };
    });
  }

  /**
   * Stores one signal and waits until agents have acknowledged it; repeated with the same request_id, goes on waiting. Throws what
   * refuses the signal, NO_RESPONDERS, TOO_MANY_WAITS, and what `AckWait.run` rejects with: then it is stored.
   */
  sendAcknowledged(signal: PreparedSignal, required: RequiredAcks, abort: AbortSignal): Promise<StoredSignal> {
    this.#checkTakesChanges();
    const { environment, acknowledged, validation, metrics } = this.#options;
    const { coordinationId, type } = signal.facts;
    return this.#open.hold(coordinationId, async (session) => {
      const append = appendChecked(signal, validation, (draft, stored) =>
        acknowledged.requireAcks(draft, stored, required.agentIds),
      );
      const stored = await environment.directory.execute(coordinationId, append);
      if (!stored.isDeduplicated) metrics.signalSent(type, 1);
      await acknowledged.whenAcknowledged(session, { ...required, stored, abort });
      return stored;
    });
  }

  /** Ends every wait for conditions or a reply with SHUTTING_DOWN. */
  drain(): void {
    this.#open.drain();
  }

  /** Resolves when nothing is on its way. To be called after `drain`. */
  close(): Promise<void> {
    return this.#open.close();
  }

  #handedOut(entry: LogEntry): LogEntry {
    return this.#options.outgoing?.apply(entry) ?? entry;
  }

  #checkTakesChanges(): void {
    if (this.#options.environment.isDraining()) throw takesNoChanges();
  }
}

/** Waits for the reply, and notes how that ended. */
async function untilReply(call: OpenRequest, session: SessionState, wait: RequestWait): Promise<Reply> {
  try {
    const result = await call.run();
    wait.noteEnd(session, { reply: result.reply.sequence });
    return result;
  } catch (error) {
    wait.noteEnd(session, { error });
    throw error;
  }
}
