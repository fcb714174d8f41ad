// Quantiles of many latencies in fixed memory, to within a stated relative error.
// Buckets grow by a constant factor, so that a bucket's representative is never further than `relativeError` from any
// value it stands for (DDSketch, Masson, Rim and Lee, VLDB 2019). Recording costs one logarithm and no allocation; the
// buckets (3 KB) are allocated with the first value, so that an idle coordination pays nothing for its histogram.

/** How far a quantile may lie from the exact one, as a share of it, inside the recordable range. */
export const relativeError = 0.03;

const leastMilliseconds = 0.001;
const greatestMilliseconds = 3_600_000;
const growth = (1 + relativeError) / (1 - relativeError);
const bucketsPerLog = 1 / Math.log(growth);
const bucketCount = bucketOf(greatestMilliseconds) + 1;

/** A histogram as a JSON value: only the buckets that hold something. */
export interface LatencyHistogramJson {
  /** Sum of the recorded values, in milliseconds. */
  readonly sum: number;
  /** Greatest recorded value, in milliseconds. */
  readonly max: number;
  /** Pairs of bucket number and count. */
  readonly buckets: readonly (readonly [bucket: number, count: number])[];
}

/**
 * Counts latencies between 1 microsecond and 1 hour. Values outside count as the nearest end of that range; what is
 * negative or not a number counts as 0, because a clock that steps back must not corrupt a sum.
 */
export class LatencyHistogram {
  #buckets: Float64Array | undefined;
  #count = 0;
  #sum = 0;
  #max = 0;

  /** Restores what `toJSON` returned. Throws a RangeError when a bucket or a count is impossible. */
  static fromJSON(json: LatencyHistogramJson): LatencyHistogram {
    const histogram = new LatencyHistogram();
    for (const [bucket, count] of json.buckets) {
      if (!Number.isInteger(bucket) || bucket < 0 || bucket >= bucketCount) {
        throw new RangeError(`histogram bucket is ${bucket}, limit is ${bucketCount - 1}`);
      }
      if (!Number.isSafeInteger(count) || count < 0) {
        throw new RangeError(`histogram count is ${count}, not a whole number of values`);
      }
      histogram.#add(bucket, count);
    }
    histogram.#sum = boundedSum(json.sum);
    histogram.#max = bounded(json.max);
    return histogram;
  }

  /** How many values were recorded. */
  get count(): number {
    return this.#count;
  }

  /** Sum of the recorded values, in milliseconds. */
  get sum(): number {
    return this.#sum;
  }

  /** Greatest recorded value, in milliseconds; 0 when there is none. */
  get max(): number {
    return this.#max;
  }

  /** Records a value, in milliseconds, so many times. */
  record(milliseconds: number, times = 1): void {
    const value = bounded(milliseconds);
    this.#sum += value * times;
    if (value > this.#max) {
      this.#max = value;
    }
    this.#add(bucketOf(value), times);
  }

  /**
   * Returns the value in milliseconds that a share `q` (0 to 1) of the recorded values does not exceed, to within
   * `relativeError`; never more than `max`, exactly `max` for 1, and 0 when nothing was recorded.
   */
  quantile(q: number): number {
    if (this.#buckets === undefined) {
      return 0;
    }
    const rank = Math.max(1, Math.ceil(Math.min(1, q) * this.#count));
    if (rank === this.#count) {
      return this.#max;
    }
    let seen = 0;
    for (const [bucket, count] of this.#buckets.entries()) {
      seen += count;
      if (seen >= rank) {
        return Math.min(this.#max, representativeOf(bucket));
      }
    }
    return this.#max;
  }

  /** Adds everything that `other` recorded. */
  merge(other: LatencyHistogram): void {
    this.#sum += other.#sum;
    this.#max = Math.max(this.#max, other.#max);
    for (const [bucket, count] of other.#buckets?.entries() ?? []) {
      if (count > 0) {
        this.#add(bucket, count);
      }
    }
  }

  /** The histogram as a JSON value, for `fromJSON`. */
  toJSON(): LatencyHistogramJson {
    const buckets: (readonly [number, number])[] = [];
    for (const [bucket, count] of this.#buckets?.entries() ?? []) {
      if (count > 0) {
        buckets.push([bucket, count]);
      }
    }
    return { sum: this.#sum, max: this.#max, buckets };
  }

  #add(bucket: number, count: number): void {
    this.#buckets ??= new Float64Array(bucketCount);
    this.#buckets[bucket] = (this.#buckets[bucket] ?? 0) + count;
    this.#count += count;
  }
}

function bounded(milliseconds: number): number {
  return Number.isNaN(milliseconds) ? 0 : Math.min(greatestMilliseconds, Math.max(0, milliseconds));
}

function boundedSum(milliseconds: number): number {
  return Number.isFinite(milliseconds) && milliseconds > 0 ? milliseconds : 0;
}

function bucketOf(milliseconds: number): number {
  return milliseconds > leastMilliseconds ? Math.ceil(Math.log(milliseconds / leastMilliseconds) * bucketsPerLog) : 0;
}

function representativeOf(bucket: number): number {
  return bucket === 0 ? leastMilliseconds : (leastMilliseconds * 2 * growth ** bucket) / (growth + 1);
}
