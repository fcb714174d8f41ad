import { AckExpiredError } from "../errors/coordination-client-error.js";
import type { CancelTimer, Clock } from "../time/clock.js";
import type { Delivery } from "./delivery.js";

/** Extensions in one lease: two may fail before it runs out. */
const extensionsPerLease = 3;

/**
 * Keeps deliveries from expiring while they are at work or wait for it, with one timer for all of them, so that their extensions
 * travel together. One that is settled, or that is somebody else's by now, is kept no longer.
 */
export class LeaseKeeper {
  readonly #clock: Clock;
  readonly #leaseMs: number;
  readonly #kept = new Map<Delivery, AbortController>();
  #cancelTimer: CancelTimer | undefined;

  /** @param leaseMs how long a delivery is its consumer's, in milliseconds. */
  constructor(clock: Clock, leaseMs: number) {
    this.#clock = clock;
    this.#leaseMs = leaseMs;
  }

  /** Keeps a delivery from now on. */
  keep(delivery: Delivery): void {
    this.#kept.set(delivery, new AbortController());
    this.#schedule();
  }

  /** Aborted once a delivery that was kept may be somebody else's. */
  signalOf(delivery: Delivery): AbortSignal {
    return this.#kept.get(delivery)?.signal ?? AbortSignal.abort();
  }

  /** Keeps a delivery no longer. */
  release(delivery: Delivery): void {
    this.#kept.delete(delivery);
    if (this.#kept.size === 0) this.#stop();
  }

  /** Tells that the server may have given all deliveries to others: their consumer's stream has ended. */
  loseAll(): void {
    for (const [delivery, lease] of [...this.#kept]) {
      this.release(delivery);
      lease.abort();
    }
  }

  #schedule(): void {
    this.#cancelTimer ??= this.#clock.startTimer(
      this.#leaseMs / extensionsPerLease,
      () => {
        this.#cancelTimer = undefined;
        for (const delivery of [...this.#kept.keys()]) void this.#extend(delivery);
        if (this.#kept.size > 0) this.#schedule();
      },
      "background",
    );
  }

  #stop(): void {
    this.#cancelTimer?.();
    this.#cancelTimer = undefined;
  }

  async #extend(delivery: Delivery): Promise<void> {
    try {
      await delivery.extend();
    } catch (error) {
      // Whatever else has failed may succeed the next time; when it does not, the lease expires, and that is said here.
      if (!(error instanceof AckExpiredError)) return;
      const lease = this.#kept.get(delivery);
      this.release(delivery);
      lease?.abort(error);
    }
  }
}
