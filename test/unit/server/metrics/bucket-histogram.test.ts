import { describe, expect, test } from "@jest/globals";
import { BucketHistogram } from "../../../../server/src/metrics/bucket-histogram.js";

function histogramOf(values: readonly number[]): BucketHistogram {
  const histogram = new BucketHistogram({ name: "wait_seconds", help: "Time waited.", bounds: [0.5, 2] });
  for (const value of values) {
    histogram.add(value);
  }
  return histogram;
}

describe("BucketHistogram.render", () => {
  test("prints cumulative buckets, sum and count", () => {
    expect(histogramOf([0.25, 0.5, 1, 8]).render()).toBe(
      [
        "# HELP wait_seconds Time waited.",
        "# TYPE wait_seconds histogram",
        'wait_seconds_bucket{le="0.5"} 2',
        'wait_seconds_bucket{le="2"} 3',
        'wait_seconds_bucket{le="+Inf"} 4',
        "wait_seconds_sum 9.75",
        "wait_seconds_count 4",
        "",
      ].join("\n"),
    );
  });

  test("counts negative values and NaN as zero", () => {
    const body = histogramOf([-3, Number.NaN]).render();
    expect(body).toContain('wait_seconds_bucket{le="0.5"} 2');
    expect(body).toContain("wait_seconds_sum 0");
  });
});
