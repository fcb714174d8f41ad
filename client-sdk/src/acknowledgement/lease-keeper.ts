import { AckExpiredError } from "../errors/coordination-client-error.js";
import type { CancelTimer, Clock } from "../time/clock.js";
import type { Delivery, DeliveryKeeper } from "./delivery.js";

/** Extensions in one lease: two may fail before it runs out. */
const extensionsPerLease = 3;

/** A delivery that is kept. */
interface KeptLease {
  /** Aborted once the delivery may be somebody else's. */
  readonly abort: AbortController;
  /** Stops the timer that runs out when its time has passed. */
  readonly cancelExpiry: CancelTimer;
}

/**
 * Keeps deliveries from expiring while they are at work or wait for it, with one timer for all of them, so that their extensions
 * travel together. One that is settled, or that may be somebody else's by now, is kept no longer. Its time is measured here, because
 * a server that cannot be reached says nothing: from when it came, or from when the last extension that was taken was asked for,
 * which is before the server counted from.
 */
export class LeaseKeeper implements DeliveryKeeper {
  readonly #clock: Clock;
  readonly #leaseMs: number;
  readonly #kept = new Map<Delivery, KeptLease>();
  #cancelTimer: CancelTimer | undefined;

  /** @param leaseMs how long a delivery is its consumer's, in milliseconds. */
  constructor(clock: Clock, leaseMs: number) {
    this.#clock = clock;
    this.#leaseMs = leaseMs;
  }

  /** Keeps a delivery from now on. */
  keep(delivery: Delivery): void {
    this.#hold(delivery, new AbortController(), this.#leaseMs);
    this.#schedule();
  }

  /** Aborted once a delivery that was kept may be somebody else's. */
  signalOf(delivery: Delivery): AbortSignal {
    return this.#kept.get(delivery)?.abort.signal ?? AbortSignal.abort();
  }

  /** Keeps a delivery no longer. */
  release(delivery: Delivery): void {
    this.#kept.get(delivery)?.cancelExpiry();
    this.#kept.delete(delivery);
    if (this.#kept.size === 0) this.#stop();
  }

  /**
   * Notes that a delivery's extension is asked for now, by so many milliseconds; undefined is a whole lease. The function that it
   * returns is called when that was taken.
   */
  extending(delivery: Delivery, spanMs = this.#leaseMs): () => void {
    const untilMs = this.#clock.nowMs() + spanMs;
    return () => {
      const kept = this.#kept.get(delivery);
      if (kept === undefined) return;
      kept.cancelExpiry();
      this.#hold(delivery, kept.abort, untilMs - this.#clock.nowMs());
    };
  }

  /** Tells that the server may have given all deliveries to others: their consumer's stream has ended. */
  loseAll(): void {
    for (const delivery of [...this.#kept.keys()]) this.#lose(delivery);
  }

  #hold(delivery: Delivery, abort: AbortController, leftMs: number): void {
    const cancelExpiry = this.#clock.startTimer(leftMs, () => this.#lose(delivery), "background");
    this.#kept.set(delivery, { abort, cancelExpiry });
  }

  #lose(delivery: Delivery, reason?: unknown): void {
    const lease = this.#kept.get(delivery);
    this.release(delivery);
    lease?.abort.abort(reason);
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
      // Whatever else has failed may succeed the next time; when it does not, the delivery's time runs out.
      if (error instanceof AckExpiredError) this.#lose(delivery, error);
    }
  }
}
