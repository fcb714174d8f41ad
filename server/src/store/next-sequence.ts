import type { RemovedRange } from "./signal-store.js";

/** The sequence that follows another one in a log, past what rollbacks have removed. */
export function nextSequence(sequence: bigint, removedRanges: readonly RemovedRange[]): bigint {
  let next = sequence + 1n;
  for (const { afterSequence, throughSequence } of removedRanges) {
    if (next > afterSequence && next <= throughSequence) next = throughSequence + 1n;
  }
  return next;
}
