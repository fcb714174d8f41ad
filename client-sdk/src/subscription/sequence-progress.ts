import type { CoordinationSignal } from "@coordination-signals/proto/coordination/v1/signal";
import type { SignalBatch } from "@coordination-signals/proto/coordination/v1/signal_service";
import { type BatchBoundary, type BatchProgress, disorder } from "./batch-progress.js";
import { cursorFromPosition, type StreamStart, streamStartAfter } from "./subscription-start.js";

/** In the order of the log one sequence tells how far the consumer is, inside a batch as well. */
export class SequenceProgress implements BatchProgress {
  /** The last signal handed out of a batch that has more; `undefined` between batches. */
  #insideAfter: bigint | undefined;

  streamOpened(): void {}

  accept(batch: SignalBatch): SignalBatch {
    const { afterSequence, throughSequence, signals } = batch;
    let last = afterSequence;
    for (const { sequence } of signals) {
      if (sequence <= last || sequence > throughSequence) throw disorder(sequence, last, throughSequence);
      last = sequence;
    }
    return batch;
  }

  handedOut({ sequence }: CoordinationSignal): void {
    this.#insideAfter = sequence;
  }

  completed(): void {
    this.#insideAfter = undefined;
  }

  resume({ start, epoch }: BatchBoundary): StreamStart {
    if (this.#insideAfter === undefined) return start;
    return streamStartAfter({ epoch: epoch ?? "", sequence: this.#insideAfter });
  }

  cursor(boundary: BatchBoundary): string | undefined {
    const { start, afterSequence, epoch } = this.resume(boundary);
    if (start.case === "cursor") return start.value;
    if (afterSequence === undefined || epoch === undefined) return undefined;
    return cursorFromPosition({ epoch, sequence: afterSequence });
  }
}
