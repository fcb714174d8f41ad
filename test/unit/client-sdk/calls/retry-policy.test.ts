import { describe, expect, test } from "@jest/globals";
import { backoffMs, retryDelayMs, retryPolicyFrom } from "../../../../client-sdk/src/calls/retry-policy.js";
import {
  OverloadedError,
  PreconditionError,
  UnavailableError,
} from "../../../../client-sdk/src/errors/coordination-client-error.js";

const policy = retryPolicyFrom();
const unavailable = new UnavailableError({ message: "away", reason: "SHUTTING_DOWN", code: "UNAVAILABLE" });

describe("backoffMs", () => {
  test("doubles up to its limit", () => {
    const full = [1, 2, 3, 6, 7, 100].map((attempts) => backoffMs(policy, attempts, 1));
    expect(full).toEqual([100, 200, 400, 3_200, 5_000, 5_000]);
  });

  test("has jitter over its upper half", () => {
    expect([0, 0.5].map((random) => backoffMs(policy, 1, random))).toEqual([50, 75]);
  });
});

describe("retryDelayMs", () => {
  test("waits at least as long as the server asks", () => {
    const exhausted = new OverloadedError({
      message: "slow down",
      reason: "RATE_LIMITED",
      code: "RESOURCE_EXHAUSTED",
      retryDelayMs: 2_000,
    });
    expect(retryDelayMs(policy, exhausted, { attempts: 1, elapsedMs: 0 }, 0)).toBe(2_050);
  });

  test("is none between several addresses, whatever the one left asks, and grows with each round of them", () => {
    const draining = new UnavailableError({ ...unavailable, message: "draining", retryDelayMs: 1_000 });
    const delays = [1, 2, 3, 4, 5, 6].map((attempts) =>
      retryDelayMs(retryPolicyFrom({}, 3), draining, { attempts, elapsedMs: 0 }, 0),
    );
    expect(delays).toEqual([0, 0, 1_050, 0, 0, 1_100]);
  });

  test("is none after the last attempt at each address, and after the first one when repeating is off", () => {
    const retryAfter = (attempts: number, maxAttempts: number) =>
      retryDelayMs(retryPolicyFrom({ maxAttempts }, 3), unavailable, { attempts, elapsedMs: 0 }, 0);
    expect([retryAfter(5, 2), retryAfter(6, 2), retryAfter(1, 1)]).toEqual([0, undefined, undefined]);
  });

  test("is none for errors that repeating does not mend", () => {
    const closed = new PreconditionError({
      message: "closed",
      reason: "COORDINATION_CLOSED",
      code: "FAILED_PRECONDITION",
    });
    expect(retryDelayMs(policy, closed, { attempts: 1, elapsedMs: 0 }, 0)).toBeUndefined();
  });

  test("is none after the last attempt or beyond the time", () => {
    expect(retryDelayMs(policy, unavailable, { attempts: 11, elapsedMs: 0 }, 0)).toBe(2_500);
    expect(retryDelayMs(policy, unavailable, { attempts: 12, elapsedMs: 0 }, 0)).toBeUndefined();
    expect(retryDelayMs(policy, unavailable, { attempts: 1, elapsedMs: 59_960 }, 0)).toBeUndefined();
  });
});
