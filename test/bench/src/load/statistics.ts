/** The middle of what several repetitions gave, and its ends. */
export interface Spread {
  readonly median: number;
  readonly min: number;
  readonly max: number;
}

/** Sums up at least one value. */
export function spreadOf(values: readonly number[]): Spread {
  const sorted = sortedCopy(values);
  return { median: quantile(sorted, 0.5), min: quantile(sorted, 0), max: quantile(sorted, 1) };
}

/** The value below which a share (0 to 1) of at least one value lies, interpolated. */
export function percentile(values: Iterable<number>, share: number): number {
  return quantile(sortedCopy(values), share);
}

function sortedCopy(values: Iterable<number>): Float64Array {
  const sorted = Float64Array.from(values).sort();
  if (sorted.length === 0) throw new Error("there is nothing to sum up");
  return sorted;
}

function quantile(sorted: Float64Array, share: number): number {
  const position = share * (sorted.length - 1);
  const below = sorted[Math.floor(position)] ?? Number.NaN;
  const above = sorted[Math.ceil(position)] ?? Number.NaN;
  return below + (above - below) * (position - Math.floor(position));
}
