import { WakeLatch } from "../../state/wake-latch.js";
import type { ClaimedSignal } from "./claim-operation.js";

/** Signals that a consumer was leased in one claim, and how far its subscription was scanned then. */
export interface Grant {
  readonly signals: readonly ClaimedSignal[];
  readonly throughSequence: bigint;
  /** Since when nothing waited for room; what was accepted from then on travelled as fast as it could. Undefined while something does. */
  readonly liveSinceMs: number | undefined;
}

/** One open stream of a named subscription, as its dispatcher sees it. */
export class Consumer {
  /** Unique among the consumers of this server. */
  readonly id: string;
  /** Set when there is something to look at. */
  readonly latch = new WakeLatch();
  #grant: Grant | undefined;
  #failure: unknown;
  #isReady = false;

  constructor(id: string) {
    this.id = id;
  }

  /** Whether it has handed out all it was given and waits for more. */
  get isReady(): boolean {
    return this.#isReady;
  }

  /** Says that it waits for more. */
  ready(): void {
    this.#isReady = true;
  }

  /** Says that it is busy with something else. */
  pause(): void {
    this.#isReady = false;
  }

  /** Whether there is something for it that it has not taken. */
  get hasGrant(): boolean {
    return this.#grant !== undefined;
  }

  /** What was leased to it, once. */
  take(): Grant | undefined {
    const grant = this.#grant;
    this.#grant = undefined;
    return grant;
  }

  /** Gives it what was leased to it. */
  give(grant: Grant): void {
    this.#grant = grant;
    this.#isReady = false;
    this.latch.set();
  }

  /** Ends it with an error. */
  fail(error: unknown): void {
    this.#failure = error;
    this.latch.set();
  }

  /** Throws what it was ended with. */
  throwIfFailed(): void {
    if (this.#failure !== undefined) throw this.#failure;
  }
}
