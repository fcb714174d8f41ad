import type { CoordinationHeader, RemovedRange } from "../store/signal-store.js";

/** Adds what a rollback removes; ranges that lie in it become part of it. */
export function withRemovedRange(ranges: readonly RemovedRange[], added: RemovedRange): readonly RemovedRange[] {
  return [...ranges.filter((range) => range.afterSequence < added.afterSequence), added];
}

/** How many numbers after a sequence are in a log: what was removed before is there no more. */
export function countAfter(
  { headSequence, removedRanges }: Pick<CoordinationHeader, "headSequence" | "removedRanges">,
  sequence: bigint,
): bigint {
  return removedRanges
    .filter(({ afterSequence }) => afterSequence >= sequence)
    .reduce(
      (left, { afterSequence, throughSequence }) => left - (throughSequence - afterSequence),
      headSequence - sequence,
    );
}

/** Drops ranges that no position inside the history can lie in any more. */
export function rangesAfter(ranges: readonly RemovedRange[], trimmedThroughSequence: bigint): readonly RemovedRange[] {
  return ranges.filter((range) => range.throughSequence > trimmedThroughSequence);
}

/**
 * The range that removed what a position stands for: one made after the position's generation. Without a generation, as for
 * a bare sequence, any range counts.
 */
export function removedRangeAt(
  ranges: readonly RemovedRange[],
  position: { readonly sequence: bigint; readonly generation: number | undefined },
): RemovedRange | undefined {
  return ranges.find(
    ({ afterSequence, throughSequence, generation }) =>
      position.sequence > afterSequence &&
      position.sequence <= throughSequence &&
      (position.generation === undefined || position.generation < generation),
  );
}
