import { describe, expect, test } from "@jest/globals";
import fc from "fast-check";
import { LatencyHistogram, relativeError } from "../../../../server/src/metrics/latency-histogram.js";

const milliseconds = fc.double({ min: 0.001, max: 3_600_000, noNaN: true });

function histogramOf(values: readonly number[]): LatencyHistogram {
  const histogram = new LatencyHistogram();
  for (const value of values) {
    histogram.record(value);
  }
  return histogram;
}

function exactQuantile(values: readonly number[], q: number): number {
  const sorted = values.toSorted((a, b) => a - b);
  return sorted[Math.max(1, Math.ceil(q * sorted.length)) - 1] ?? 0;
}

describe("LatencyHistogram", () => {
  test("is all zero before the first value", () => {
    const histogram = new LatencyHistogram();
    expect([histogram.count, histogram.sum, histogram.max, histogram.quantile(0.5)]).toEqual([0, 0, 0, 0]);
  });

  test("keeps count, sum and max exactly", () => {
    const histogram = histogramOf([1.5, 250, 0.25]);
    expect([histogram.count, histogram.sum, histogram.max]).toEqual([3, 251.75, 250]);
  });

  test("estimates every quantile within the relative error over the whole range", () => {
    fc.assert(
      fc.property(
        fc.array(milliseconds, { minLength: 1, maxLength: 200 }),
        fc.double({ min: 0, max: 1, noNaN: true }),
        (values, q) => {
          const exact = exactQuantile(values, q);
          expect(Math.abs(histogramOf(values).quantile(q) - exact)).toBeLessThanOrEqual(exact * relativeError * 1.0001);
        },
      ),
    );
  });

  test("never reports a quantile above the maximum", () => {
    for (let value = 100; value < 200; value += 1) {
      expect(histogramOf([value, value, value]).quantile(0.5)).toBeLessThanOrEqual(value);
    }
  });

  test("reports the exact maximum as the last quantile", () => {
    expect(histogramOf([1, 20, 101]).quantile(1)).toBe(101);
  });

  test("counts what lies outside its range as the nearest end", () => {
    const histogram = histogramOf([1e12, Number.POSITIVE_INFINITY]);
    expect(histogram.max).toBe(3_600_000);
    expect(histogramOf([1e-9, 5]).quantile(0.5)).toBe(0.001);
  });

  test("counts negative values and NaN as zero", () => {
    const histogram = histogramOf([-5, Number.NaN]);
    expect([histogram.count, histogram.sum, histogram.max, histogram.quantile(0.99)]).toEqual([2, 0, 0, 0]);
  });
});

describe("LatencyHistogram.merge", () => {
  test("equals one histogram of all values", () => {
    fc.assert(
      fc.property(fc.array(milliseconds), fc.array(milliseconds), (left, right) => {
        const merged = histogramOf(left);
        merged.merge(histogramOf(right));
        const whole = histogramOf([...left, ...right]);
        expect(merged.toJSON().buckets).toEqual(whole.toJSON().buckets);
        expect([merged.count, merged.max]).toEqual([whole.count, whole.max]);
        expect(merged.sum).toBeCloseTo(whole.sum, 3);
      }),
    );
  });
});

describe("LatencyHistogram.toJSON", () => {
  test("survives a round trip through text", () => {
    fc.assert(
      fc.property(fc.array(milliseconds), (values) => {
        const histogram = histogramOf(values);
        const restored = LatencyHistogram.fromJSON(JSON.parse(JSON.stringify(histogram)));
        expect(restored.toJSON()).toEqual(histogram.toJSON());
        expect(restored.count).toBe(values.length);
      }),
    );
  });

  test("holds only the buckets in use", () => {
    expect(histogramOf([3, 3, 3, 900]).toJSON().buckets).toHaveLength(2);
  });
});

describe("LatencyHistogram.fromJSON", () => {
  test.each([[[100_000, 1]], [[-1, 1]], [[1.5, 1]], [[1, -1]], [[1, 0.5]]] as const)(
    "refuses the impossible bucket %j",
    (bucket) => {
      expect(() => LatencyHistogram.fromJSON({ sum: 0, max: 0, buckets: [bucket] })).toThrow(RangeError);
    },
  );
});
