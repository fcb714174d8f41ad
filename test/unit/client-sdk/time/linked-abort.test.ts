import { getEventListeners } from "node:events";
import { describe, expect, test } from "@jest/globals";
import { systemClock } from "../../../../client-sdk/src/time/clock.js";
import { linkAbort } from "../../../../client-sdk/src/time/linked-abort.js";
import { sleep } from "../../../../client-sdk/src/time/sleep.js";
import { ManualClock } from "../support/manual-clock.js";

const listeners = (signal: AbortSignal) => getEventListeners(signal, "abort").length;

describe("linkAbort", () => {
  test("follows the first source that is aborted, with its reason, and lets go of the others", () => {
    const [first, second] = [new AbortController(), new AbortController()];
    const linked = linkAbort(first.signal, undefined, second.signal);
    second.abort("second");
    expect([linked.signal.aborted, linked.signal.reason]).toEqual([true, "second"]);
    expect([listeners(first.signal), listeners(second.signal)]).toEqual([0, 0]);
  });

  test("is aborted at once when a source was", () => {
    const source = new AbortController();
    const linked = linkAbort(source.signal, AbortSignal.abort("before"), new AbortController().signal);
    expect(linked.signal.reason).toBe("before");
    expect(listeners(source.signal)).toBe(0);
  });

  test("lets go when it is released", () => {
    const source = new AbortController();
    const linked = linkAbort(source.signal);
    expect(listeners(source.signal)).toBe(1);
    linked.release();
    source.abort();
    expect([listeners(source.signal), linked.signal.aborted]).toEqual([0, false]);
  });
});

describe("sleep", () => {
  test("lets go of the signal when the time is over", async () => {
    const clock = new ManualClock();
    const { signal } = new AbortController();
    const slept = sleep(clock, 10, signal);
    clock.advance(10);
    await slept;
    expect(listeners(signal)).toBe(0);
  });

  test("rejects with the signal's reason and stops its timer", async () => {
    const clock = new ManualClock();
    const controller = new AbortController();
    const slept = sleep(clock, 10, controller.signal);
    controller.abort("enough");
    await expect(slept).rejects.toBe("enough");
    expect(clock.delaysMs()).toEqual([]);
    await expect(sleep(clock, 10, controller.signal)).rejects.toBe("enough");
  });
});

describe("systemClock", () => {
  test("fires timers, and not those that were cancelled", async () => {
    const fired: string[] = [];
    const cancel = systemClock.startTimer(0, () => fired.push("cancelled"));
    cancel();
    await new Promise<void>((resolve) => {
      systemClock.startTimer(1, () => {
        fired.push("first");
        resolve();
      });
    });
    expect(fired).toEqual(["first"]);
    expect(systemClock.random()).toBeLessThan(1);
    expect(systemClock.nowMs()).toBeGreaterThan(0);
  });

  test("does not take a delay beyond what timers can wait for none", () => {
    const cancel = systemClock.startTimer(2 ** 40, () => undefined, "background");
    cancel();
  });
});
