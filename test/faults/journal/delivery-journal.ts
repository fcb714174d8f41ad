import type { FaultReport } from "../harness/fault-report.js";

/** One life of a consumer: from its stream's beginning to its end, however that comes. */
export interface ConsumerLife {
  readonly name: string;
  /** Which start of the server it is a stream of. */
  readonly incarnation: number;
  isOver: boolean;
}

/** An attempt to deliver a signal, as its consumer was told. */
export interface ReceivedDelivery {
  readonly sequence: bigint;
  readonly deliveryId: string;
  readonly attempt: number;
  readonly deadlineMs: number;
}

interface Hold {
  readonly life: ConsumerLife;
  readonly delivery: ReceivedDelivery;
}

/** What became of a signal, as far as consumers were told. */
type Fate = "acknowledged" | "perhaps acknowledged";

// The server's clock is this machine's: a lease that ends this soon may have ended.
const marginMs = 500;

/**
 * What the consumers of one subscription were handed and what they settled. It notes as a violation what must not be: a signal that
 * two consumers have at the same time, an attempt that is counted twice or beyond the limit, a signal that comes after it was settled.
 */
export class DeliveryJournal {
  readonly #report: FaultReport;
  readonly #maxAttempts: number;
  readonly #holds = new Map<bigint, Hold>();
  readonly #attempts = new Map<bigint, number>();
  readonly #fates = new Map<bigint, Fate>();
  readonly #rejected = new Set<bigint>();
  #incarnation = 0;
  #deliveries = 0;

  constructor(report: FaultReport, maxAttempts: number) {
    this.#report = report;
    this.#maxAttempts = maxAttempts;
  }

  /** How many attempts were handed out. */
  get deliveryCount(): number {
    return this.#deliveries;
  }

  /** A consumer's stream has begun. */
  begin(name: string): ConsumerLife {
    return { name, incarnation: this.#incarnation, isOver: false };
  }

  /** The server is killed: whatever its consumers had is theirs no more. */
  serverKilled(): void {
    this.#incarnation += 1;
    this.#holds.clear();
  }

  /** A consumer has gone: what it had is its no more. */
  end(life: ConsumerLife): void {
    life.isOver = true;
    for (const [sequence, hold] of this.#holds) if (hold.life === life) this.#holds.delete(sequence);
  }

  /** A consumer was handed a signal. */
  received(life: ConsumerLife, delivery: ReceivedDelivery): void {
    this.#deliveries += 1;
    // What was on its way when its server was killed comes late, and says nothing of what the next server does.
    if (!this.#isCurrent(life)) return;
    const { sequence, attempt } = delivery;
    const what = `signal ${sequence}, attempt ${attempt}, to ${life.name}`;
    if (this.#fates.get(sequence) === "acknowledged")
      this.#report.violation("duplicated", `${what}: it was acknowledged`);
    const last = this.#attempts.get(sequence) ?? 0;
    if (attempt <= last) this.#report.violation("duplicated", `${what}: there was an attempt ${last} before`);
    if (attempt > this.#maxAttempts)
      this.#report.violation("otherwise wrong", `${what}: there may be ${this.#maxAttempts}`);
    const hold = this.#holds.get(sequence);
    if (hold !== undefined && hold.delivery.deadlineMs > Date.now() + marginMs) {
      this.#report.violation("duplicated", `${what}: ${hold.life.name} has it, attempt ${hold.delivery.attempt}`);
    }
    this.#attempts.set(sequence, attempt);
    this.#holds.set(sequence, { life, delivery });
  }

  /** A consumer says what is to become of a delivery: from now on others may have it. Returns whether it still had it. */
  settling(life: ConsumerLife, { sequence, deliveryId, deadlineMs }: ReceivedDelivery): boolean {
    const hold = this.#holds.get(sequence);
    const isHeld = hold?.delivery.deliveryId === deliveryId && hold.life === life;
    if (isHeld) this.#holds.delete(sequence);
    return isHeld && deadlineMs > Date.now() + marginMs;
  }

  /** The server took an acknowledgement. */
  acknowledged(sequence: bigint): void {
    this.#fates.set(sequence, "acknowledged");
  }

  /** Nobody knows whether the server took an acknowledgement. */
  perhapsAcknowledged(sequence: bigint): void {
    if (!this.#fates.has(sequence)) this.#fates.set(sequence, "perhaps acknowledged");
  }

  /** A consumer rejected a signal, whether the server took that or not. */
  rejected(sequence: bigint): void {
    this.#rejected.add(sequence);
  }

  /** The server refused what a consumer said of a delivery that was still its own. */
  refused(life: ConsumerLife, { sequence, attempt }: ReceivedDelivery, reason: string): void {
    if (!this.#isCurrent(life)) return;
    this.#report.violation(
      "lost",
      `signal ${sequence}, attempt ${attempt}: ${life.name} had it and was told ${reason}`,
    );
  }

  /** Forgets the attempts of a signal that was put back. */
  redriven(sequence: bigint): void {
    this.#attempts.delete(sequence);
    this.#rejected.delete(sequence);
  }

  isDone(sequence: bigint): boolean {
    return this.#fates.has(sequence);
  }

  isSurelyDone(sequence: bigint): boolean {
    return this.#fates.get(sequence) === "acknowledged";
  }

  wasRejected(sequence: bigint): boolean {
    return this.#rejected.has(sequence);
  }

  #isCurrent({ incarnation, isOver }: ConsumerLife): boolean {
    return incarnation === this.#incarnation && !isOver;
  }
}
