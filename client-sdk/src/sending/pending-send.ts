import type { CoordinationClientError } from "../errors/coordination-client-error.js";
import type { EncodedSend } from "./encode-send.js";
import { batchItemOverheadBytes } from "./send-limits.js";
import type { SendOutcome, SendResult } from "./send-result.js";

/** Whoever waits for the answer of one signal. */
interface SignalWaiter {
  readonly atomic: false;
  readonly resolve: (result: SendResult) => void;
}

/** Whoever waits for the answers of an atomic batch. */
interface BatchWaiter {
  readonly atomic: true;
  readonly resolve: (results: readonly SendResult[]) => void;
}

/** Whoever waits for a send. */
export type SendWaiter = (SignalWaiter | BatchWaiter) & {
  readonly reject: (error: CoordinationClientError) => void;
};

/** One send that has not been answered: a signal, or an atomic batch of them. Settles once. */
export class PendingSend {
  readonly sends: readonly EncodedSend[];
  /** What it adds to a batch. */
  readonly bytes: number;
  /** Its place among the sends of its session. */
  readonly order: number;
  /** Attempts that have begun. */
  attempts = 0;
  readonly #waiter: SendWaiter;
  readonly #onSettled: (send: PendingSend) => void;
  #firstAttemptMs = Number.NaN;
  #settled = false;
  #whenSettled: (() => void)[] | undefined;
  #stopListening: (() => void) | undefined;

  /** `onSettled` is called once when it is settled, before whoever waits learns of it. */
  constructor(
    sends: readonly EncodedSend[],
    order: number,
    waiter: SendWaiter,
    onSettled: (send: PendingSend) => void,
  ) {
    let bytes = 0;
    for (const { encoded } of sends) bytes += encoded.length + batchItemOverheadBytes;
    this.sends = sends;
    this.bytes = bytes;
    this.order = order;
    this.#waiter = waiter;
    this.#onSettled = onSettled;
  }

  get atomic(): boolean {
    return this.#waiter.atomic;
  }

  get settled(): boolean {
    return this.#settled;
  }

  /** Calls `onAbort` when the signal is aborted before it is settled. */
  listenTo(signal: AbortSignal, onAbort: () => void): void {
    signal.addEventListener("abort", onAbort, { once: true });
    this.#stopListening = () => signal.removeEventListener("abort", onAbort);
  }

  /** Counts an attempt that begins now. */
  beginAttempt(nowMs: number): void {
    this.attempts += 1;
    if (Number.isNaN(this.#firstAttemptMs)) this.#firstAttemptMs = nowMs;
  }

  /** Takes back the attempt that has begun last: it was none. */
  forgetAttempt(): void {
    this.attempts -= 1;
  }

  /** Milliseconds since the first attempt began. */
  elapsedMs(nowMs: number): number {
    return Number.isNaN(this.#firstAttemptMs) ? 0 : nowMs - this.#firstAttemptMs;
  }

  /** Waits until it is answered, well or not. */
  whenSettled(): Promise<void> {
    if (this.#settled) return Promise.resolve();
    return new Promise((resolve) => {
      this.#whenSettled ??= [];
      this.#whenSettled.push(resolve);
    });
  }

  /** Its answers are those of a batch from `first` on, one for each signal, and none is an error. */
  succeed(outcomes: readonly SendOutcome[], first: number): void {
    if (!this.#settle()) return;
    const waiter = this.#waiter;
    if (waiter.atomic) waiter.resolve(outcomes.slice(first, first + this.sends.length) as SendResult[]);
    else waiter.resolve(outcomes[first] as SendResult);
  }

  fail(error: CoordinationClientError): void {
    if (this.#settle()) this.#waiter.reject(error);
  }

  #settle(): boolean {
    if (this.#settled) return false;
    this.#settled = true;
    this.#stopListening?.();
    this.#onSettled(this);
    if (this.#whenSettled !== undefined) for (const tell of this.#whenSettled) tell();
    return true;
  }
}
