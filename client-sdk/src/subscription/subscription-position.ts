import type {
  CaughtUp,
  Checkpoint,
  SignalBatch,
  Subscribed,
} from "@coordination-signals/proto/coordination/v1/signal_service";
import { OutOfRangeError, SequenceGapError } from "../errors/coordination-client-error.js";
import { type BatchProgress, disorder } from "./batch-progress.js";
import { PriorityProgress } from "./priority-progress.js";
import { SequenceProgress } from "./sequence-progress.js";
import { type DeliveryOrder, type StreamStart, streamStartAtCursor } from "./subscription-start.js";

/** What a subscription's reader asks of a position, and tells it. */
export type StreamPosition = Pick<
  SubscriptionPosition,
  "resume" | "cursor" | "streamOpened" | "subscribed" | "scanned" | "received" | "handedOut" | "caughtUp"
>;

/*
 * Knows how far a subscription has got, and so where it goes on after its stream is cut: after what the consumer was
 * handed, not after what has arrived. Invariant: the ranges the server scanned join, each beginning where the one before
 * ended, across streams too. The signals' own numbers have holes (filters, directed signals) and prove nothing.
 */
export class SubscriptionPosition {
  /** Where the last range ended that the consumer is done with. */
  #boundary: StreamStart;
  /** What the consumer was handed beyond it. */
  readonly #progress: BatchProgress;
  /** The incarnation of the log; empty while the coordination does not exist, `undefined` while nothing is known. */
  #epoch: string | undefined;
  /** Where the next range begins; `undefined` when only the first range will tell. */
  #through: bigint | undefined;
  /** Where the server said it had caught up: the next range may begin there as well, for nothing matched up to it. */
  #caughtUpThrough: bigint | undefined;

  constructor(start: StreamStart, order: DeliveryOrder = "sequence") {
    this.#boundary = start;
    this.#epoch = start.epoch;
    this.#progress = order === "priority" ? new PriorityProgress(start.handedOut) : new SequenceProgress();
  }

  /** Where a new stream starts. */
  get resume(): StreamStart {
    return this.#progress.resume({ start: this.#boundary, epoch: this.#epoch });
  }

  /** Resumes after the last signal handed out; `undefined` until the subscription stands. */
  get cursor(): string | undefined {
    return this.#progress.cursor({ start: this.#boundary, epoch: this.#epoch });
  }

  /** Takes note that a stream is opened where `resume` says. */
  streamOpened(): void {
    this.#through = this.resume.afterSequence;
    this.#caughtUpThrough = undefined;
    this.#progress.streamOpened();
  }

  /** Takes note that the subscription stands. Throws OutOfRangeError when the log is another one than before. */
  subscribed({ epoch, cursor, headSequence }: Subscribed): void {
    const before = this.#epoch;
    if (before !== undefined && before !== "" && epoch !== before) throw epochChanged(before, epoch, headSequence);
    this.#epoch = epoch;
    if (epoch === "" || before === "") this.#through = 0n;
    // The first answer names the start, which "latest" does not, and the incarnation, which a sequence does not.
    const isNews = before === undefined || (before === "" && epoch !== "");
    const isOwnCursor = before === undefined && this.#boundary.start.case === "cursor";
    if (isNews && !isOwnCursor) this.#boundary = streamStartAtCursor(cursor, this.#through);
  }

  /** Takes note of a range without signals. Throws SequenceGapError when it does not join. */
  scanned({ afterSequence, throughSequence, cursor }: Checkpoint): void {
    this.#join(afterSequence, throughSequence);
    this.#moveTo(cursor, throughSequence);
  }

  /**
   * Checks a batch before any of its signals is handed out, and returns what of it is to be. Throws SequenceGapError when its
   * range does not join, InternalError when its signals are out of order.
   */
  received(batch: SignalBatch): SignalBatch {
    this.#join(batch.afterSequence, batch.throughSequence);
    const accepted = this.#progress.accept(batch);
    if (accepted.signals.length === 0) this.#moveTo(batch.cursor, batch.throughSequence);
    return accepted;
  }

  /** Takes note that the batch's signals up to and including this one are handed out; the last one completes it. */
  handedOut({ signals, cursor, throughSequence }: SignalBatch, index: number): void {
    const signal = signals[index];
    if (signal !== undefined) this.#progress.handedOut(signal);
    if (index === signals.length - 1) this.#moveTo(cursor, throughSequence);
  }

  /** Takes note that everything stored was seen. Throws SequenceGapError when that is less than was seen before. */
  caughtUp({ throughSequence, cursor }: CaughtUp): void {
    if (this.#through !== undefined && throughSequence < this.#through) {
      throw new SequenceGapError(this.#through, throughSequence);
    }
    this.#caughtUpThrough = throughSequence;
    this.#moveTo(cursor, throughSequence);
  }

  #moveTo(cursor: string, throughSequence: bigint): void {
    this.#boundary = streamStartAtCursor(cursor, throughSequence);
    this.#progress.completed(throughSequence);
  }

  #join(afterSequence: bigint, throughSequence: bigint): void {
    const expected = this.#through ?? afterSequence;
    if (afterSequence !== expected && afterSequence !== this.#caughtUpThrough) {
      throw new SequenceGapError(expected, afterSequence);
    }
    if (throughSequence < afterSequence) throw disorder(throughSequence, afterSequence, throughSequence);
    this.#through = throughSequence;
    this.#caughtUpThrough = undefined;
  }
}

/** Makes the error of a log that is another one than before. */
export function epochChanged(before: string, now: string, headSequence: bigint): OutOfRangeError {
  return new OutOfRangeError({
    message: `the coordination's log is another one: its epoch was ${before}, now it is ${now === "" ? "none" : now}`,
    reason: "EPOCH_CHANGED",
    code: "OUT_OF_RANGE",
    metadata: { epoch: now, head_sequence: String(headSequence), resume_after_sequence: "0" },
  });
}
