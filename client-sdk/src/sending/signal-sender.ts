import { type RetryPolicy, retryDelayMs } from "../calls/retry-policy.js";
import { cancelledError, clientClosedError } from "../errors/cancelled-error.js";
import { type CoordinationClientError, OverloadedError } from "../errors/coordination-client-error.js";
import { errorFromConnect } from "../errors/error-from-connect.js";
import type { OpenResource, OpenResources } from "../open-resources.js";
import type { CancelTimer, Clock } from "../time/clock.js";
import { type BatchAnswer, isError } from "./batch-results.js";
import { DeliverAgainError } from "./deliver-again-error.js";
import type { EncodedSend } from "./encode-send.js";
import { PendingSend, type SendWaiter } from "./pending-send.js";
import type { OutgoingBatch, SendPipeline } from "./send-pipeline.js";
import { SendQueue } from "./send-queue.js";
import type { SendResult } from "./send-result.js";

/*
 * Turns the sends of one session into batches. What is sent while a batch is in flight waits and goes with the next one,
 * so batches grow under load while a lone signal leaves at once. Invariant: sends reach the server in the order in which
 * they were called, also when some must be repeated: those go first, and nothing overtakes them while they wait.
 */

/** What a sender is made of. */
export interface SignalSenderOptions {
  readonly pipeline: SendPipeline;
  readonly retry: RetryPolicy;
  readonly clock: Clock;
  /** Signals that may wait for an answer at once. */
  readonly maxQueuedSignals: number;
  /** Their encoded bytes. */
  readonly maxQueuedBytes: number;
  /** How long closing waits for answers, in milliseconds. */
  readonly closeTimeoutMs: number;
  /** Knows the sender while it has sends that are not answered. */
  readonly open: OpenResources;
}

/** Failures of a whole batch that one of its signals may have caused. */
const contagiousCodes: ReadonlySet<string> = new Set([
  "INVALID_ARGUMENT",
  "OUT_OF_RANGE",
  "RESOURCE_EXHAUSTED",
  "INTERNAL",
  "UNKNOWN",
]);

/** A send that goes back to the queue, and how long it must wait there. */
interface Repetition {
  readonly send: PendingSend;
  readonly delayMs: number;
}

interface BatchInFlight {
  readonly sends: readonly PendingSend[];
  /** Gives up what is on its way of it now. */
  cancel: (error: CoordinationClientError) => void;
  /** Why it was given up. */
  cancelled: CoordinationClientError | undefined;
}

/** Sends the signals of one session, in order, coalesced into batches, repeated where that is safe. */
export class SignalSender implements OpenResource {
  readonly #options: SignalSenderOptions;
  readonly #queue = new SendQueue();
  /** A list: a set that is never empty keeps what left it from being collected, batches and all they hold, until the next full collection. */
  readonly #inFlight: BatchInFlight[] = [];
  #nextOrder = 0;
  /** Sends that are not answered. */
  #unanswered = 0;
  #queuedSignals = 0;
  #queuedBytes = 0;
  #dispatchScheduled = false;
  #cancelPause: CancelTimer | undefined;
  #pausedUntilMs = 0;
  #closing: Promise<void> | undefined;

  constructor(options: SignalSenderOptions) {
    this.#options = options;
  }

  /** Sends a signal and resolves with its answer once it is durable. */
  send(send: EncodedSend, signal: AbortSignal | undefined): Promise<SendResult> {
    return new Promise((resolve, reject) => {
      this.#enqueue([send], signal, { atomic: false, resolve, reject });
    });
  }

  /** Sends signals that are stored whole or not at all; resolves with their answers once they are durable. */
  sendAtomic(sends: readonly EncodedSend[], signal: AbortSignal | undefined): Promise<readonly SendResult[]> {
    return new Promise((resolve, reject) => {
      this.#enqueue(sends, signal, { atomic: true, resolve, reject });
    });
  }

  /**
   * Sends what came of work that closing waits for: taken after `close()`, too, and failed when it has no answer `closeTimeoutMs`
   * later.
   */
  sendLast(send: EncodedSend): Promise<SendResult> {
    const sent = new Promise<SendResult>((resolve, reject) => {
      this.#take([send], undefined, { atomic: false, resolve, reject });
    });
    this.#closing = this.#drain();
    return sent;
  }

  /** Whether every send so far is answered. */
  get isIdle(): boolean {
    return this.#unanswered === 0;
  }

  /** Waits until every send so far is answered, well or not. */
  async flush(): Promise<void> {
    await Promise.all(this.#pending().map((pending) => pending.whenSettled()));
  }

  /** Takes no more sends, waits for the answers of those there are, at most `closeTimeoutMs`, and fails the rest. */
  close(): Promise<void> {
    this.#closing ??= this.#drain();
    return this.#closing;
  }

  async #drain(): Promise<void> {
    const { clock, closeTimeoutMs } = this.#options;
    const cancelTimer = clock.startTimer(closeTimeoutMs, () => this.#failAll(clientClosedError()));
    await this.flush();
    cancelTimer();
    this.#cancelPause?.();
  }

  #failAll(error: CoordinationClientError): void {
    const pending = this.#pending();
    for (const batch of this.#inFlight) giveUp(batch, error);
    for (const send of pending) send.fail(error);
    this.#queue.removeSettled();
  }

  #pending(): readonly PendingSend[] {
    const inFlight = this.#inFlight.flatMap(({ sends }) => sends);
    return [...inFlight, ...this.#queue.waiting].filter((send) => !send.settled);
  }

  #enqueue(sends: readonly EncodedSend[], signal: AbortSignal | undefined, waiter: SendWaiter): void {
    if (this.#closing !== undefined) throw clientClosedError();
    if (signal?.aborted) throw cancelledError(signal);
    this.#take(sends, signal, waiter);
  }

  #take(sends: readonly EncodedSend[], signal: AbortSignal | undefined, waiter: SendWaiter): void {
    const pending = new PendingSend(sends, this.#nextOrder, waiter, this.#forget);
    this.#assertRoom(pending);
    if (signal !== undefined) pending.listenTo(signal, () => this.#cancel(pending, signal));
    this.#nextOrder += 1;
    this.#queuedSignals += sends.length;
    this.#queuedBytes += pending.bytes;
    if (this.#unanswered === 0) this.#options.open.add(this);
    this.#unanswered += 1;
    this.#queue.add(pending);
    this.#scheduleDispatch();
  }

  // An empty queue takes everything: a batch larger than the limits could otherwise never be sent.
  #assertRoom(pending: PendingSend): void {
    const { maxQueuedSignals, maxQueuedBytes } = this.#options;
    const signals = this.#queuedSignals + pending.sends.length;
    const bytes = this.#queuedBytes + pending.bytes;
    if (this.#queuedSignals === 0 || (signals <= maxQueuedSignals && bytes <= maxQueuedBytes)) return;
    throw new OverloadedError({
      message: `${signals} signals of ${bytes} bytes would wait, limits are ${maxQueuedSignals} and ${maxQueuedBytes}`,
      reason: "SEND_QUEUE_FULL",
      code: "RESOURCE_EXHAUSTED",
      retryable: true,
    });
  }

  readonly #forget = (settled: PendingSend): void => {
    this.#queuedSignals -= settled.sends.length;
    this.#queuedBytes -= settled.bytes;
    this.#unanswered -= 1;
    if (this.#unanswered === 0) this.#options.open.remove(this);
  };

  // A batch in flight goes on for the others in it, and is given up with the last of them.
  #cancel(pending: PendingSend, signal: AbortSignal): void {
    const error = cancelledError(signal);
    pending.fail(error);
    this.#queue.removeSettled();
    for (const batch of this.#inFlight) {
      if (batch.sends.every((send) => send.settled)) giveUp(batch, error);
    }
  }

  // Not at once: sends made in one go then leave in one batch.
  #scheduleDispatch(): void {
    if (this.#dispatchScheduled) return;
    this.#dispatchScheduled = true;
    const { afterTurn = queueMicrotask } = this.#options.pipeline;
    afterTurn(this.#dispatchScheduledSends);
  }

  readonly #dispatchScheduledSends = (): void => {
    this.#dispatchScheduled = false;
    this.#dispatch();
  };

  #dispatch(): void {
    while (this.#mayDispatch) {
      const sends = this.#queue.takeBatch(this.#options.pipeline.maxBatchSignals);
      if (sends.length === 0) return;
      void this.#run({ sends, cancel: ignore, cancelled: undefined });
    }
  }

  // What must be repeated waits for all that is in flight: some of that may have to be repeated after it.
  get #mayDispatch(): boolean {
    if (this.#cancelPause !== undefined) return false;
    if (this.#queue.hasRepeated) return this.#inFlight.length === 0;
    return this.#inFlight.length < this.#options.pipeline.maxBatchesInFlight;
  }

  // Never rejects: every failure is told to the sends it concerns.
  async #run(batch: BatchInFlight): Promise<void> {
    this.#inFlight.push(batch);
    const nowMs = this.#options.clock.nowMs();
    for (const send of batch.sends) send.beginAttempt(nowMs);
    const repetitions = await this.#deliver(batch, batch.sends);
    this.#inFlight.splice(this.#inFlight.indexOf(batch), 1);
    if (repetitions.length > 0) this.#repeat(repetitions.filter(({ send }) => !send.settled));
    // What is sent on the answers goes with what waits.
    if (this.#queue.hasWaiting) this.#scheduleDispatch();
  }

  #repeat(repetitions: readonly Repetition[]): void {
    if (repetitions.length === 0) return;
    this.#queue.putBack(repetitions.map(({ send }) => send));
    this.#pause(Math.max(...repetitions.map(({ delayMs }) => delayMs)));
  }

  // The longest pause counts: batches that failed together ask for different ones.
  #pause(delayMs: number): void {
    const { clock } = this.#options;
    const untilMs = clock.nowMs() + delayMs;
    if (this.#cancelPause !== undefined && untilMs <= this.#pausedUntilMs) return;
    this.#cancelPause?.();
    this.#pausedUntilMs = untilMs;
    this.#cancelPause = clock.startTimer(delayMs, () => {
      this.#cancelPause = undefined;
      this.#dispatch();
    });
  }

  /** Delivers sends of a batch and settles them, except those that must be repeated, which it returns. */
  async #deliver(batch: BatchInFlight, pending: readonly PendingSend[]): Promise<readonly Repetition[]> {
    const { pipeline } = this.#options;
    try {
      if (batch.cancelled !== undefined) throw batch.cancelled;
      const delivery = pipeline.deliver(outgoing(pending));
      batch.cancel = delivery.cancel;
      return this.#settleEach(pending, await delivery.answered);
    } catch (thrown) {
      if (thrown instanceof DeliverAgainError) return pending.map(uncounted);
      return this.#settleFailedBatch(batch, pending, errorFromConnect(thrown));
    }
  }

  #settleEach(pending: readonly PendingSend[], { outcomes, hasErrors }: BatchAnswer): readonly Repetition[] {
    const repetitions: Repetition[] = [];
    let next = 0;
    for (const send of pending) {
      const first = next;
      next += send.sends.length;
      const error = hasErrors ? outcomes.slice(first, next).find(isError) : undefined;
      if (error === undefined) send.succeed(outcomes, first);
      else repetitions.push(...this.#repeatOrFail(send, error));
    }
    return repetitions;
  }

  // A batch refused as a whole is halved until the signal at fault is alone: it must not fail its neighbours.
  async #settleFailedBatch(
    batch: BatchInFlight,
    sends: readonly PendingSend[],
    error: CoordinationClientError,
  ): Promise<readonly Repetition[]> {
    const unsettled = sends.filter((send) => !send.settled);
    if (error.retryable || !contagiousCodes.has(error.code) || unsettled.length < 2) {
      return unsettled.flatMap((send) => this.#repeatOrFail(send, error));
    }
    const middle = Math.ceil(unsettled.length / 2);
    const first = await this.#deliver(batch, unsettled.slice(0, middle));
    const rest = unsettled.slice(middle);
    // What has to be repeated is not overtaken by what was called after it.
    const second = first.length > 0 ? rest.map((send) => ({ send, delayMs: 0 })) : await this.#deliver(batch, rest);
    return [...first, ...second];
  }

  #repeatOrFail(send: PendingSend, error: CoordinationClientError): readonly Repetition[] {
    if (send.settled) return [];
    const { retry, clock } = this.#options;
    const state = { attempts: send.attempts, elapsedMs: send.elapsedMs(clock.nowMs()) };
    const delayMs = retryDelayMs(retry, error, state, clock.random());
    if (delayMs === undefined) {
      send.fail(error);
      return [];
    }
    return [{ send, delayMs }];
  }
}

function uncounted(send: PendingSend): Repetition {
  send.forgetAttempt();
  return { send, delayMs: 0 };
}

function outgoing(pending: readonly PendingSend[]): OutgoingBatch {
  const [first] = pending;
  // An atomic batch travels alone.
  if (first !== undefined && pending.length === 1) return { sends: first.sends, atomic: first.atomic };
  const sends: EncodedSend[] = [];
  for (const each of pending) sends.push(...each.sends);
  return { sends, atomic: false };
}

function giveUp(batch: BatchInFlight, error: CoordinationClientError): void {
  batch.cancelled = error;
  batch.cancel(error);
}

function ignore(): void {}
