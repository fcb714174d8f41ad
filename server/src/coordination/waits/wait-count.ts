import type { MetricsCollector } from "../../metrics/metrics-collector.js";
import { tooManyWaits, waitInterrupted } from "./wait-errors.js";

/** How many calls wait on this server, and how many may. */
export class WaitCount {
  readonly #maxWaits: number;
  readonly #metrics: MetricsCollector;
  readonly #isDraining: () => boolean;
  #openCount = 0;

  constructor(options: {
    readonly maxWaits: number;
    readonly metrics: MetricsCollector;
    readonly isDraining: () => boolean;
  }) {
    this.#maxWaits = options.maxWaits;
    this.#metrics = options.metrics;
    this.#isDraining = options.isDraining;
  }

  get openCount(): number {
    return this.#openCount;
  }

  /** Counts one more. Throws SHUTTING_DOWN, TOO_MANY_WAITS. */
  add(): void {
    if (this.#isDraining()) throw waitInterrupted();
    if (this.#openCount >= this.#maxWaits) throw tooManyWaits("on this server", this.#maxWaits);
    this.#set(this.#openCount + 1);
  }

  /** Counts one less. */
  remove(): void {
    this.#set(this.#openCount - 1);
  }

  #set(count: number): void {
    this.#openCount = count;
    this.#metrics.setOpenWaits(count);
  }
}
