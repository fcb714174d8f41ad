import { type CoordinationClientError, TimeoutError, UnavailableError } from "../errors/coordination-client-error.js";
import { errorFromConnect } from "../errors/error-from-connect.js";
import type { CancelTimer, Clock } from "../time/clock.js";
import { type CallRoute, requestRoute } from "../transport/call-route.js";
import type { BatchChannel, OpenBatchChannel } from "./batch-channel.js";
import { assertOneEach, atomicRefusal, type BatchAnswer, hasUnavailable } from "./batch-results.js";
import { DeliverAgainError } from "./deliver-again-error.js";
import type { Delivery, OutgoingBatch } from "./send-pipeline.js";

/*
 * One stream of batches. Answers come in the order of the batches, so the oldest unanswered one is meant. When the stream
 * breaks, everything unanswered comes back to the sender at once, which delivers it again in its order.
 */

/** What a stream is opened with. */
export interface SendStreamOptions {
  readonly openChannel: OpenBatchChannel;
  readonly clock: Clock;
  /** How long an answer may take, in milliseconds. */
  readonly timeoutMs: number;
  /** How long the stream stays open while nothing is sent, in milliseconds. */
  readonly idleTimeoutMs: number;
  /** Called once when no further batch must be sent on it. */
  readonly onRetired: () => void;
  /** Called once when it has ended. */
  readonly onEnded: () => void;
  /** Called when the server does not know such streams. */
  readonly onUnimplemented: () => void;
}

interface UnansweredBatch {
  readonly batch: OutgoingBatch;
  readonly sentMs: number;
  readonly resolve: (answer: BatchAnswer) => void;
  readonly reject: (error: unknown) => void;
}

/** Carries batches to the server and their answers back. */
export class SendStream {
  readonly #options: SendStreamOptions;
  readonly #unanswered: UnansweredBatch[] = [];
  readonly #channel: BatchChannel;
  readonly #route: CallRoute | undefined;
  #lastAnswerMs: number;
  #cancelTimer: CancelTimer | undefined;
  #isClosing = false;
  #isRetired = false;
  #hasAnswered = false;
  #tellEnded: () => void = () => undefined;
  /** Resolves when the stream has ended and everything on it is settled. */
  readonly ended: Promise<void>;

  constructor(options: SendStreamOptions) {
    this.#options = options;
    this.#lastAnswerMs = options.clock.nowMs();
    this.ended = new Promise((resolve) => {
      this.#tellEnded = resolve;
    });
    const routing = requestRoute();
    this.#channel = options.openChannel(routing.contextValues, {
      onAnswer: (answer) => this.#settleOldest(answer),
      onEnd: (thrown) => this.#end(thrown),
    });
    this.#route = routing.route;
    this.#arm();
  }

  /** Sends a batch. */
  send(batch: OutgoingBatch): Delivery {
    let cancel: Delivery["cancel"] = () => undefined;
    const answered = new Promise<BatchAnswer>((resolve, reject) => {
      // Its answer still comes, in its turn, and is nobody's then.
      cancel = reject;
      this.#unanswered.push({ batch, sentMs: this.#options.clock.nowMs(), resolve, reject });
    });
    this.#channel.send(batch);
    return { answered, cancel };
  }

  /** Ends the stream as soon as nothing on it is unanswered. */
  close(): void {
    this.#isClosing = true;
    if (this.#unanswered.length === 0) this.#retire();
  }

  /** Ends the stream now; what is unanswered rejects. */
  cancel(error: CoordinationClientError): void {
    this.#channel.cancel(error);
  }

  #end(thrown: unknown): void {
    this.#cancelTimer?.();
    this.#retire();
    this.#settleRest(thrown);
    this.#options.onEnded();
    this.#tellEnded();
  }

  #settleOldest(answer: BatchAnswer): void {
    this.#hasAnswered = true;
    this.#lastAnswerMs = this.#options.clock.nowMs();
    const oldest = this.#unanswered.shift();
    if (hasUnavailable(answer)) {
      this.#route?.leave();
      // The next batch has to go elsewhere.
      this.#retire();
    }
    if (oldest !== undefined) settle(oldest, answer);
    if (this.#isClosing && this.#unanswered.length === 0) this.#retire();
  }

  #settleRest(thrown: unknown): void {
    const rest = this.#unanswered.splice(0);
    if (rest.length === 0) return;
    const error = errorFromConnect(thrown ?? endedEarly(rest.length));
    if (error.code === "UNIMPLEMENTED" && !this.#hasAnswered) {
      this.#options.onUnimplemented();
      for (const { reject } of rest) reject(new DeliverAgainError("the server takes no streams of batches"));
      return;
    }
    for (const [index, { reject }] of rest.entries()) {
      // Batches are taken one after another: what is wrong is wrong with the first one that has no answer.
      reject(
        index === 0 || error.retryable ? error : new DeliverAgainError("a batch before this one ended the stream"),
      );
    }
  }

  #retire(): void {
    if (this.#isRetired) return;
    this.#isRetired = true;
    this.#channel.finish();
    this.#options.onRetired();
  }

  /** Looks again when something may be due. One timer for all batches: a timer each would cost more than the rest. */
  #arm(): void {
    const { clock, idleTimeoutMs, timeoutMs } = this.#options;
    this.#cancelTimer = clock.startTimer(Math.min(idleTimeoutMs, timeoutMs), () => this.#check(), "background");
  }

  #check(): void {
    const { clock, idleTimeoutMs, timeoutMs } = this.#options;
    const [oldest] = this.#unanswered;
    if (oldest === undefined && clock.nowMs() - this.#lastAnswerMs >= idleTimeoutMs) {
      this.#retire();
    } else if (oldest !== undefined && clock.nowMs() - oldest.sentMs >= timeoutMs) {
      this.#unanswered.shift();
      oldest.reject(answerTimeout(timeoutMs));
      this.cancel(silentServer(timeoutMs));
    } else {
      this.#arm();
    }
  }
}

function settle({ batch, resolve, reject }: UnansweredBatch, answer: BatchAnswer): void {
  try {
    assertOneEach(answer, batch.sends.length);
    const refusal = batch.atomic ? atomicRefusal(answer) : undefined;
    if (refusal === undefined) resolve(answer);
    else reject(refusal);
  } catch (error) {
    reject(error);
  }
}

function endedEarly(unanswered: number): UnavailableError {
  const message = `connection lost: the server ended the stream with ${unanswered} batches unanswered`;
  return new UnavailableError({ message, reason: "CONNECTION_LOST", code: "UNAVAILABLE" });
}

function answerTimeout(timeoutMs: number): TimeoutError {
  const message = `no answer within ${timeoutMs} ms`;
  return new TimeoutError({ message, reason: "CALL_TIMEOUT", code: "DEADLINE_EXCEEDED" });
}

function silentServer(timeoutMs: number): UnavailableError {
  const message = `connection lost: a batch was not answered within ${timeoutMs} ms`;
  return new UnavailableError({ message, reason: "CONNECTION_LOST", code: "UNAVAILABLE" });
}
