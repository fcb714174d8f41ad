import type { CoordinationSignal } from "@coordination-signals/proto/coordination/v1/signal";
import type { SignalBatch } from "@coordination-signals/proto/coordination/v1/signal_service";
import { InternalError } from "../errors/coordination-client-error.js";
import type { StreamStart } from "./subscription-start.js";

/** A place between batches, and the incarnation of the log; `undefined` while nothing is known of it. */
export interface BatchBoundary {
  readonly start: StreamStart;
  readonly epoch: string | undefined;
}

/** How far the consumer was handed signals beyond the boundary of the last batch it is done with. */
export interface BatchProgress {
  /** Takes note that a stream is opened where `resume` says. */
  streamOpened(): void;
  /** Checks the order of a batch's signals. Returns it without what was handed out before. Throws InternalError. */
  accept(batch: SignalBatch): SignalBatch;
  /** Takes note that a signal is handed out. */
  handedOut(signal: CoordinationSignal): void;
  /** Takes note that the boundary is now behind everything that was accepted, and behind this sequence on every level. */
  completed(throughSequence: bigint): void;
  /** Where a new stream starts. */
  resume(boundary: BatchBoundary): StreamStart;
  /** Resumes after the last signal handed out; `undefined` while the boundary cannot be told. */
  cursor(boundary: BatchBoundary): string | undefined;
}

/** What to say of a signal, or the end of a range, that does not come after what it has to follow. */
export function disorder(sequence: bigint, after: bigint, through?: bigint): InternalError {
  const range = through === undefined ? "" : `, through ${through}`;
  return new InternalError({
    message: `sequence ${sequence} is out of order: expected after ${after}${range}`,
    reason: "UNEXPECTED_RESPONSE",
    code: "INTERNAL",
  });
}
