import { describe, expect, test } from "@jest/globals";
import { defaultPortLimits, sweepIntervalMs } from "../../../../server/src/wire/port-limits.js";

describe("sweepIntervalMs", () => {
  test("looks four times within the shortest timeout", () => {
    expect(sweepIntervalMs({ ...defaultPortLimits, idleTimeoutMs: 400 })).toBe(100);
  });

  test("looks at most once a second by default, and never more than a hundred times", () => {
    expect(sweepIntervalMs(defaultPortLimits)).toBe(1_000);
    expect(sweepIntervalMs({ ...defaultPortLimits, idleTimeoutMs: 1 })).toBe(10);
  });
});
