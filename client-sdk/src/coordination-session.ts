import type { DescMessage } from "@bufbuild/protobuf";
import { durationMs } from "@bufbuild/protobuf/wkt";
import type { Agent } from "@coordination-signals/proto/coordination/v1/agent";
import type { CallOptions } from "./calls/caller.js";
import { LongCall, type LongCallEnvironment, type LongCallPlan } from "./calls/long-call.js";
import { CoordinationObserver } from "./coordination-observer.js";
import { invalidOption } from "./errors/invalid-option.js";
import { boundRule, checkNumber } from "./options/check-number.js";
import { deregisterAgent, heartbeatAgent, type RegisterOptions, registerAgent } from "./registry/agent-registration.js";
import { type HeartbeatStatus, HeartbeatTimer } from "./registry/heartbeat-timer.js";
import {
  type OnRequestOptions,
  type RequestHandler,
  RequestListener,
  requestExpression,
} from "./requests/request-listener.js";
import { type RequestInit, type RequestOptions, type RequestResult, requestPlan } from "./requests/request-signal.js";
import { acknowledgedSendPlan, type RequireAckOptions, requiredAcksOf } from "./sending/acknowledged-send.js";
import { encodeAtomicBatch } from "./sending/atomic-batch.js";
import { encodeSend } from "./sending/encode-send.js";
import type {
  AgentCompletedInit,
  AgentInitializedInit,
  DependencyResolvedInit,
  InterAgentMessageInit,
  OutgoingSignal,
  SignalEventInit,
  SignalOptions,
} from "./sending/outgoing-signal.js";
import type { SendResult } from "./sending/send-result.js";
import { SignalSender } from "./sending/signal-sender.js";
import type { SessionEnvironment } from "./session-environment.js";
import type { WaitConditionInit } from "./waits/wait-conditions.js";
import { type WaitForOptions, type WaitResult, waitPlan } from "./waits/wait-for.js";

/** What a send takes beside its event. */
export interface SendOptions extends SignalOptions, RequireAckOptions {
  /**
   * Gives up: the send rejects with CancelledError. When it was on its way already, it may be stored all the same; repeat it
   * with the same `requestId` to find out.
   */
  readonly signal?: AbortSignal | undefined;
}

/** How to give up a send. */
export interface AbortOptions {
  /** Gives up, as in `SendOptions`. */
  readonly signal?: AbortSignal | undefined;
}

/** What a send of a whole signal takes beside it. */
export interface SendSignalOptions extends AbortOptions, RequireAckOptions {}

/** Heartbeats in one lease: two may fail before it runs out. */
const heartbeatsPerLease = 3;
/** The server's lease when the registration names none, in milliseconds. */
const defaultLeaseMs = 60_000;

/**
 * One agent's part in one coordination: sends its signals, reads what concerns it, keeps its registration alive. Safe for
 * concurrent use.
 *
 * Sends are answered once they are durable. They reach the server in the order in which they were called; those made while
 * others are on their way leave together, in one batch, and one that is refused fails alone. Each carries a `requestId`,
 * so it is repeated safely when the server is away.
 *
 * Every send can throw: InvalidRequestError (also SIGNAL_TOO_LARGE, REQUEST_ID_REUSED), NotFoundError (an unknown
 * recipient), PreconditionError (the coordination is closed; with `requireAck` NO_RESPONDERS, nobody could acknowledge it and nothing
 * is stored, and NOT_ACKNOWLEDGED, somebody has given it up), ConflictError (`expectedSequence`), OverloadedError (also
 * when this session's queue is full: await earlier sends first), UnavailableError, TimeoutError (also REQUEST_TIMEOUT: its metadata names
 * who is `missing`, and the `sequence` of the signal, which stays stored), CancelledError.
 *
 * A send with `requireAck` begins when those called before it are answered; those called after it do not wait for it.
 */
export class CoordinationSession extends CoordinationObserver {
  /** The agent. */
  readonly agentId: string;
  readonly #environment: SessionEnvironment;
  readonly #sender: SignalSender;
  readonly #longCalls: LongCallEnvironment;
  #heartbeat: HeartbeatTimer | undefined;
  #heartbeatStatus: HeartbeatStatus | undefined;

  /** Made by `client.coordination(id, { agentId })`. */
  constructor(environment: SessionEnvironment, coordinationId: string, agentId: string) {
    super(environment, coordinationId);
    if (typeof agentId !== "string" || agentId === "") throw invalidOption("agentId is empty, leave it out to observe");
    this.agentId = agentId;
    this.#environment = environment;
    const { unaryCalls: calls, retry, clock, maxQueuedSignals, maxQueuedBytes, closeTimeoutMs } = environment;
    const open = this.openResources;
    this.#longCalls = { calls, retry, clock, open };
    const pipeline = environment.createPipeline(open);
    this.#sender = new SignalSender({ pipeline, retry, clock, maxQueuedSignals, maxQueuedBytes, closeTimeoutMs, open });
  }

  /** Tells that this agent has started. Registers it if it is not registered. */
  initialized(event: AgentInitializedInit = {}, options?: SendOptions): Promise<SendResult> {
    return this.#sendEvent({ case: "agentInitialized", value: event }, options);
  }

  /** Tells that this agent has finished: well, or with `error`. */
  completed(event: AgentCompletedInit = {}, options?: SendOptions): Promise<SendResult> {
    return this.#sendEvent({ case: "agentCompleted", value: event }, options);
  }

  /** Tells that something others may depend on now exists. */
  dependencyResolved(event: DependencyResolvedInit, options?: SendOptions): Promise<SendResult> {
    return this.#sendEvent({ case: "dependencyResolved", value: event }, options);
  }

  /** Tells other agents something: all of them, or the `recipients`. */
  message(event: InterAgentMessageInit, options?: SendOptions): Promise<SendResult> {
    return this.#sendEvent({ case: "interAgentMessage", value: event }, options);
  }

  /** Sends a signal of any type; with `requireAck` resolves once the agents that are named have acknowledged it. */
  send(outgoing: OutgoingSignal, options?: SendSignalOptions): Promise<SendResult> {
    return this.#sendSignal(outgoing, options);
  }

  /**
   * Sends signals as one: all are stored, next to each other, or none is. 1 to 1,000 signals, together below 4 MiB. When
   * one is refused, the error's metadata names its `index`.
   */
  async sendAtomic(signals: readonly OutgoingSignal[], { signal }: AbortOptions = {}): Promise<readonly SendResult[]> {
    this.assertOpen();
    return this.#sender.sendAtomic(encodeAtomicBatch(this, signals), signal);
  }

  /**
   * Waits until dependencies are resolved, agents have reached milestones or signals have come; at once if they have already.
   * Goes on waiting when the server restarts or the connection is lost. Sends called before are answered first.
   *
   * Throws DependencyFailedError, DeadlockError (agents would wait for each other), TimeoutError (WAIT_TIMEOUT: its message says what
   * is missing and who could bring it), PreconditionError (the coordination is closed), NotFoundError (it was deleted),
   * InvalidRequestError, OverloadedError, UnavailableError, CancelledError.
   */
  waitFor(
    conditions: WaitConditionInit | readonly WaitConditionInit[],
    options: WaitForOptions = {},
  ): Promise<WaitResult> {
    // What this agent has sent may be what others need before they can bring what it waits for.
    return this.#callAfterSends(() => waitPlan(this, conditions, options), options.signal);
  }

  /**
   * Asks another agent, or everyone, and waits for the reply. Sends called before are answered first; while the server is away the
   * request is repeated, and stored once. A late reply stays in history.
   *
   * Throws PreconditionError (NO_RESPONDERS: nobody who was asked has a live lease, and nothing is stored), TimeoutError
   * (REQUEST_TIMEOUT), and what sends and waits throw.
   */
  request(event: RequestInit, options: RequestOptions = {}): Promise<RequestResult> {
    return this.#callAfterSends(() => requestPlan(this, event, options), options.signal);
  }

  /**
   * Answers requests for this agent and for everyone until it is closed, or the session is. Register first: only agents with a
   * live lease count as somebody who can reply. Await `ready()` before telling others that they can ask.
   */
  onRequest(handler: RequestHandler, options: OnRequestOptions = {}): RequestListener {
    const { subscription: name, ack, from } = options;
    checkNumber("maxConcurrent", options.maxConcurrent, boundRule);
    const requests = { types: ["interAgentMessage"], from } as const;
    const subscription =
      name === undefined && ack === undefined
        ? this.subscribe({ ...requests, expression: requestExpression(undefined) })
        : this.consume({
            ...requests,
            expression: requestExpression(options.messageTypes),
            subscription: name ?? "",
            ack,
          }).subscription;
    const send = this.#reply.bind(this);
    return new RequestListener({ subscription, send, open: this.openResources }, handler, options);
  }

  /** Waits until every send called so far is answered, well or not. */
  async flush(): Promise<void> {
    await this.#sender.flush();
  }

  /**
   * Registers this agent, or renews its registration with what is given now, and from then on sends heartbeats, unless
   * `heartbeat` is false, until the session is disposed of or `deregister()`.
   */
  async register(options: RegisterOptions = {}): Promise<Agent> {
    const agent = await registerAgent(this.registryEnvironment(), this.agentId, options);
    await this.#heartbeat?.close();
    // Closed meanwhile: nobody would stop what began now.
    this.assertOpen();
    if (options.heartbeat ?? true) this.#startHeartbeat(agent, options);
    return agent;
  }

  /** Renews this agent's lease. A progress, for people to read, says that its work has moved. */
  async heartbeat(progress = "", options: CallOptions = {}): Promise<Agent> {
    return heartbeatAgent(this.registryEnvironment(), this.agentId, { ...options, progress });
  }

  /** What became of the last automatic heartbeat; `undefined` before the first. */
  get heartbeatStatus(): HeartbeatStatus | undefined {
    return this.#heartbeatStatus;
  }

  /** Stops the heartbeats and ends this agent's registration. */
  async deregister(options: CallOptions = {}): Promise<void> {
    await this.#heartbeat?.close();
    await deregisterAgent(this.registryEnvironment(), this.agentId, options);
  }

  protected override readingAgentId(): string {
    return this.agentId;
  }

  #sendEvent(event: SignalEventInit, options: SendOptions | undefined): Promise<SendResult> {
    if (options === undefined) return this.#sendSignal({ event }, undefined);
    const { signal, requireAck, timeoutMs, ...rest } = options;
    return this.#sendSignal({ ...rest, event }, { signal, requireAck, timeoutMs });
  }

  // No async function: that would make more promises for every signal.
  #sendSignal(outgoing: OutgoingSignal, options: SendSignalOptions | undefined): Promise<SendResult> {
    try {
      this.assertOpen();
      if (options !== undefined && requiredAcksOf(options).length > 0) {
        return this.#callAfterSends(() => acknowledgedSendPlan(this, outgoing, options), options.signal);
      }
      return this.#sender.send(encodeSend(this, outgoing), options?.signal);
    } catch (error) {
      return Promise.reject(error);
    }
  }

  /** Sends a handler's reply, while the session is being closed, too: closing waits for handlers. */
  async #reply(value: InterAgentMessageInit, options: SignalOptions): Promise<SendResult> {
    const send = encodeSend(this, { ...options, event: { case: "interAgentMessage", value } });
    return this.isOpen ? this.#sender.send(send, undefined) : this.#sender.sendLast(send);
  }

  /** Makes a call that can take long once earlier sends are answered; it is given up with the session. */
  #callAfterSends<I extends DescMessage, O extends DescMessage, T>(
    plan: () => LongCallPlan<I, O, T>,
    signal: AbortSignal | undefined,
  ): Promise<T> {
    try {
      this.assertOpen();
      const earlier = this.#sender.isIdle ? undefined : this.#sender.flush();
      return new LongCall(this.#longCalls, plan()).run(signal, earlier);
    } catch (error) {
      return Promise.reject(error);
    }
  }

  #startHeartbeat(agent: Agent, { onHeartbeat }: RegisterOptions): void {
    const leaseMs = agent.lease === undefined ? defaultLeaseMs : durationMs(agent.lease);
    const intervalMs = leaseMs / heartbeatsPerLease;
    this.#heartbeatStatus = undefined;
    this.#heartbeat = new HeartbeatTimer({
      intervalMs,
      clock: this.#environment.clock,
      beat: (signal) => this.heartbeat("", { signal, timeoutMs: intervalMs }),
      onStatus: (status) => {
        this.#heartbeatStatus = status;
        onHeartbeat?.(status);
      },
      open: this.openResources,
    });
  }
}
