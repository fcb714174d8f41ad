import type { CoordinationSignal } from "@coordination-signals/proto/coordination/v1/signal";
import type { SignalBatch } from "@coordination-signals/proto/coordination/v1/signal_service";
import { priorityLevelCount, priorityLevelOf } from "../signals/signal-priority.js";
import { type BatchBoundary, type BatchProgress, disorder } from "./batch-progress.js";
import { cursorFromLevels, type StreamStart } from "./subscription-start.js";

/*
 * In order of priority no sequence tells how far the consumer is: levels stand at different places. A new stream starts at
 * the boundary, and brings again what was handed out since; it need not cut it into the same batches, because more urgent
 * signals may have come. Inside a level the order never changes: what is no later than the last one handed out is a repetition.
 */
export class PriorityProgress implements BatchProgress {
  /** By level, the last signal handed out beyond the boundary; 0 where there is none. */
  readonly #inside: bigint[];
  /** By level, what the open stream brings again. */
  #repeatedThrough: readonly bigint[] = noneHandedOut();
  /** By level, the last signal that the open stream has brought. */
  #arrived = noneHandedOut();

  /** `inside` is what was handed out beyond the start, by level. */
  constructor(inside: readonly bigint[] | undefined) {
    this.#inside = [...(inside ?? noneHandedOut())];
  }

  streamOpened(): void {
    this.#repeatedThrough = [...this.#inside];
    this.#arrived = noneHandedOut();
  }

  accept(batch: SignalBatch): SignalBatch {
    const signals = batch.signals.filter((signal) => this.#isNew(signal, batch.afterSequence));
    return signals.length === batch.signals.length ? batch : { ...batch, signals };
  }

  handedOut({ priority, sequence }: CoordinationSignal): void {
    this.#inside[priorityLevelOf(priority)] = sequence;
  }

  completed(throughSequence: bigint): void {
    for (const [level, handedOut] of this.#inside.entries()) {
      if (handedOut <= throughSequence || handedOut <= at(this.#arrived, level)) this.#inside[level] = 0n;
    }
  }

  resume({ start }: BatchBoundary): StreamStart {
    return start;
  }

  cursor({ start: { start } }: BatchBoundary): string | undefined {
    if (start.case !== "cursor") return undefined;
    return this.#inside.every((sequence) => sequence === 0n)
      ? start.value
      : cursorFromLevels(this.#inside, start.value);
  }

  #isNew({ priority, sequence }: CoordinationSignal, afterSequence: bigint): boolean {
    const level = priorityLevelOf(priority);
    const last = at(this.#arrived, level);
    if (sequence <= afterSequence) throw disorder(sequence, afterSequence);
    if (sequence <= last) throw disorder(sequence, last);
    this.#arrived[level] = sequence;
    return sequence > at(this.#repeatedThrough, level);
  }
}

function noneHandedOut(): bigint[] {
  return new Array<bigint>(priorityLevelCount).fill(0n);
}

function at(sequences: readonly bigint[], level: number): bigint {
  return sequences[level] ?? 0n;
}
