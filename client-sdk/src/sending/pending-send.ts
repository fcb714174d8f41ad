import type { CoordinationClientError } from "../errors/coordination-client-error.js";
import type { EncodedSend } from "./encode-send.js";
import { batchItemOverheadBytes } from "./send-limits.js";
import type { SendResult } from "./send-result.js";

/** Whoever waits for a send, and where it stands. */
export interface PendingSendOptions {
  /** Its place among the sends of its session. */
  readonly order: number;
  readonly atomic: boolean;
  readonly resolve: (results: readonly SendResult[]) => void;
  readonly reject: (error: CoordinationClientError) => void;
  /** Called once when it is settled, before whoever waits learns of it. */
  readonly onSettled: (send: PendingSend) => void;
}

/** One send that has not been answered: a signal, or an atomic batch of them. Settles once. */
export class PendingSend {
  readonly sends: readonly EncodedSend[];
  /** What it adds to a batch. */
  readonly bytes: number;
  /** Attempts that have begun. */
  attempts = 0;
  readonly #options: PendingSendOptions;
  #firstAttemptMs: number | undefined;
  #settled = false;
  #whenSettled: (() => void)[] | undefined;

  constructor(sends: readonly EncodedSend[], options: PendingSendOptions) {
    let bytes = 0;
    for (const { encoded } of sends) bytes += encoded.length + batchItemOverheadBytes;
    this.sends = sends;
    this.bytes = bytes;
    this.#options = options;
  }

  /** Its place among the sends of its session. */
  get order(): number {
    return this.#options.order;
  }

  get atomic(): boolean {
    return this.#options.atomic;
  }

  get settled(): boolean {
    return this.#settled;
  }

  /** Counts an attempt that begins now. */
  beginAttempt(nowMs: number): void {
    this.attempts += 1;
    this.#firstAttemptMs ??= nowMs;
  }

  /** Takes back the attempt that has begun last: it was none. */
  forgetAttempt(): void {
    this.attempts -= 1;
  }

  /** Milliseconds since the first attempt began. */
  elapsedMs(nowMs: number): number {
    return nowMs - (this.#firstAttemptMs ?? nowMs);
  }

  /** Waits until it is answered, well or not. */
  whenSettled(): Promise<void> {
    if (this.#settled) return Promise.resolve();
    return new Promise((resolve) => {
      this.#whenSettled ??= [];
      this.#whenSettled.push(resolve);
    });
  }

  succeed(results: readonly SendResult[]): void {
    if (this.#settle()) this.#options.resolve(results);
  }

  fail(error: CoordinationClientError): void {
    if (this.#settle()) this.#options.reject(error);
  }

  #settle(): boolean {
    if (this.#settled) return false;
    this.#settled = true;
    this.#options.onSettled(this);
    if (this.#whenSettled !== undefined) for (const tell of this.#whenSettled) tell();
    return true;
  }
}
