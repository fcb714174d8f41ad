/** How a bucket histogram appears in the exposition. */
export interface BucketHistogramOptions {
  /** Name of the metric, with its unit last. */
  readonly name: string;
  /** One sentence for the `# HELP` line; no backslash and no line break. */
  readonly help: string;
  /** Upper bounds of the buckets, ascending, in the metric's unit. */
  readonly bounds: readonly number[];
}

/**
 * A Prometheus histogram without labels whose `add` allocates nothing. prom-client's `observe` creates a closure and two
 * objects and hashes the labels for every value, which is too dear for what happens once per delivered signal.
 */
export class BucketHistogram {
  readonly #options: BucketHistogramOptions;
  readonly #bounds: Float64Array;
  readonly #counts: Float64Array;
  #sum = 0;

  constructor(options: BucketHistogramOptions) {
    this.#options = options;
    this.#bounds = Float64Array.from(options.bounds);
    this.#counts = new Float64Array(options.bounds.length + 1);
  }

  /** Counts a value in the metric's unit, so many times. What is negative or not a number counts as 0. */
  add(value: number, times = 1): void {
    const counted = Number.isNaN(value) ? 0 : Math.max(0, value);
    const bounds = this.#bounds;
    let bucket = 0;
    while (bucket < bounds.length && counted > (bounds[bucket] ?? 0)) {
      bucket += 1;
    }
    this.#counts[bucket] = (this.#counts[bucket] ?? 0) + times;
    this.#sum += counted * times;
  }

  /** The histogram in Prometheus' text format 0.0.4: cumulative buckets, sum and count. */
  render(): string {
    const { name, help } = this.#options;
    const lines = [`# HELP ${name} ${help}`, `# TYPE ${name} histogram`];
    let count = 0;
    for (const [bucket, inBucket] of this.#counts.entries()) {
      count += inBucket;
      lines.push(`${name}_bucket{le="${this.#bounds[bucket] ?? "+Inf"}"} ${count}`);
    }
    lines.push(`${name}_sum ${this.#sum}`, `${name}_count ${count}`, "");
    return lines.join("\n");
  }
}
