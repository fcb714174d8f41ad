import type { Sender } from "../systems/system-client.js";

/** How far sending may run ahead. */
export interface WindowLimits {
  /** Messages on their way to the server at once. */
  readonly maxUnacknowledged: number;
  /** Messages that the slowest reader may be behind. */
  readonly maxUndelivered: number;
}

/** Messages between two looks at the slowest reader. */
const looksEvery = 64;
/** How soon to look again at readers that are too far behind, in milliseconds. */
const lookAgainMs = 1;

/**
 * Sends a sender's messages as fast as the system takes them: up to a number unacknowledged, and never further ahead of
 * the slowest reader than a number, which bounds the memory of systems that push without being asked.
 */
export class SenderWindow {
  readonly #sender: Sender;
  readonly #limits: WindowLimits;
  readonly #slowest: () => number;
  #sent = 0;
  #unacknowledged = 0;
  #wake: (() => void) | undefined;
  #failure: { readonly thrown: unknown } | undefined;

  /** `slowest` says how many messages the slowest reader has been handed. */
  constructor(sender: Sender, limits: WindowLimits, slowest: () => number) {
    this.#sender = sender;
    this.#limits = limits;
    this.#slowest = slowest;
  }

  /** Messages handed to the system so far. */
  get sent(): number {
    return this.#sent;
  }

  /** Sends until a time has passed or so many were sent, and waits for what is unacknowledged. */
  async sendFor(durationMs: number, maxMessages = Number.POSITIVE_INFINITY): Promise<void> {
    const end = performance.now() + durationMs;
    const last = this.#sent + maxMessages;
    while (this.#sent < last && performance.now() < end) {
      if (this.#unacknowledged >= this.#limits.maxUnacknowledged) await this.#acknowledgement();
      if (this.#sent % looksEvery === 0) await this.#readers();
      this.#throwFailure();
      this.#send();
    }
    while (this.#unacknowledged > 0) await this.#acknowledgement();
    this.#throwFailure();
  }

  #send(): void {
    this.#sent += 1;
    this.#unacknowledged += 1;
    this.#sender.send(this.#sent).then(this.#acknowledged, this.#failed);
  }

  readonly #acknowledged = (): void => {
    this.#unacknowledged -= 1;
    const wake = this.#wake;
    this.#wake = undefined;
    wake?.();
  };

  readonly #failed = (thrown: unknown): void => {
    this.#failure ??= { thrown };
    this.#acknowledged();
  };

  #throwFailure(): void {
    if (this.#failure !== undefined) throw this.#failure.thrown;
  }

  #acknowledgement(): Promise<void> {
    return new Promise((resolve) => {
      this.#wake = resolve;
    });
  }

  async #readers(): Promise<void> {
    while (this.#sent - this.#slowest() > this.#limits.maxUndelivered) {
      await new Promise((resolve) => setTimeout(resolve, lookAgainMs));
    }
  }
}
