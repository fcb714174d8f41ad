import { Code } from "@connectrpc/connect";
import { describe, expect, test } from "@jest/globals";
import { type Attempt, Caller } from "../../../../client-sdk/src/calls/caller.js";
import { retryPolicyFrom } from "../../../../client-sdk/src/calls/retry-policy.js";
import { clientClosedError } from "../../../../client-sdk/src/errors/cancelled-error.js";
import { contractError } from "../support/contract-errors.js";
import { ManualClock } from "../support/manual-clock.js";

function createCaller() {
  const clock = new ManualClock();
  const closing = new AbortController();
  const caller = new Caller({ retry: retryPolicyFrom(), timeoutMs: 1_000, clock, closed: closing.signal });
  return { clock, closing, caller };
}

const unavailable = () => Promise.reject(contractError({ code: Code.Unavailable, reason: "SHUTTING_DOWN" }));

describe("Caller.call", () => {
  test("repeats until it succeeds, counting the attempts", async () => {
    const { clock, caller } = createCaller();
    const numbers: number[] = [];
    const call = caller.call(({ number }) => {
      numbers.push(number);
      return number < 3 ? unavailable() : Promise.resolve("done");
    });
    for (const delayMs of [50, 100]) {
      await clock.timerStarted(delayMs);
      clock.advance(delayMs);
    }
    expect(await call).toBe("done");
    expect(numbers).toEqual([1, 2, 3]);
  });

  test("gives each attempt the call's timeout, or else the client's", async () => {
    const { caller } = createCaller();
    const timeouts = [await caller.call(async (attempt) => attempt.timeoutMs)];
    timeouts.push(await caller.call(async (attempt) => attempt.timeoutMs, { timeoutMs: 5 }));
    expect(timeouts).toEqual([1_000, 5]);
  });

  test("gives up while it waits to repeat", async () => {
    const { clock, caller } = createCaller();
    const controller = new AbortController();
    const call = caller.call(unavailable, { signal: controller.signal });
    await clock.timerStarted(50);
    controller.abort("enough");
    await expect(call).rejects.toMatchObject({ reason: "CANCELLED", cause: "enough" });
    expect(clock.delaysMs()).toEqual([]);
  });

  test("gives up an attempt that is aborted while it begins", async () => {
    const { caller } = createCaller();
    const controller = new AbortController();
    let attempted: AbortSignal | undefined;
    const run = ({ signal }: Attempt) => {
      attempted = signal;
      controller.abort("enough");
      return new Promise<never>(() => undefined);
    };
    await expect(caller.call(run, controller)).rejects.toMatchObject({ reason: "CANCELLED", cause: "enough" });
    expect(attempted?.aborted).toBe(true);
  });

  test("makes no attempt once it is given up", async () => {
    const { closing, caller } = createCaller();
    closing.abort(clientClosedError());
    let attempts = 0;
    const call = caller.call(async () => {
      attempts += 1;
    });
    await expect(call).rejects.toMatchObject({ reason: "CLIENT_CLOSED" });
    expect(attempts).toBe(0);
  });
});
