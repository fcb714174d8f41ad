import { describe, expect, test } from "@jest/globals";
import { percentile, spreadOf } from "../../../bench/src/load/statistics.js";

describe("spreadOf", () => {
  test("sorts as numbers, not as texts", () => {
    expect(spreadOf([10, 9, 100])).toEqual({ median: 10, min: 9, max: 100 });
  });

  test("takes the middle between two", () => {
    expect(spreadOf([4, 1, 3, 2]).median).toBe(2.5);
  });

  test("refuses nothing", () => {
    expect(() => spreadOf([])).toThrow("there is nothing to sum up");
  });
});

describe("percentile", () => {
  test("interpolates between neighbours", () => {
    expect(percentile([0, 10, 20, 30, 40], 0.99)).toBeCloseTo(39.6);
    expect(percentile(new Float64Array([5]), 0.5)).toBe(5);
  });
});
