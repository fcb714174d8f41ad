import { getEventListeners } from "node:events";
import { describe, expect, test } from "@jest/globals";
import { ChangeWait } from "../../../../server/src/delivery/change-wait.js";
import { ReaderIndex } from "../../../../server/src/state/reader-index.js";

const interest = { agentId: "a", typeMask: 0b11110, includeOwn: false };

function createWait(abort = new AbortController()) {
  const readers = new ReaderIndex();
  return { readers, abort, change: new ChangeWait({ readers, interest, abort: abort.signal }) };
}

describe("ChangeWait", () => {
  test("parks before it returns, and ends when it is woken", async () => {
    const { readers, change } = createWait();
    const outcome = change.wait(40_000);
    expect(readers.size).toBe(1);
    readers.wakeAll();
    expect(await outcome).toBe("changed");
    expect(readers.size).toBe(0);
    change.close();
  });

  test("ends when the time is over, and leaves nothing parked", async () => {
    const { readers, change } = createWait();
    expect(await change.wait(0)).toBe("timeout");
    expect(readers.size).toBe(0);
    change.close();
  });

  test("waits its own time after a longer and after a shorter wait", async () => {
    const { readers, change } = createWait();
    for (const timeoutMs of [40_000, 20, 40_000]) {
      const woken = change.wait(timeoutMs);
      readers.wakeAll();
      expect(await woken).toBe("changed");
    }
    const startMs = performance.now();
    // The timer of the second wait is still there.
    expect(await change.wait(60)).toBe("timeout");
    expect(performance.now() - startMs).toBeGreaterThanOrEqual(60);
    change.close();
  });

  test("ends when the reader goes away, and leaves nothing behind", async () => {
    const { readers, abort, change } = createWait();
    const outcome = change.wait(40_000);
    abort.abort();
    expect(await outcome).toBe("aborted");
    expect(readers.size).toBe(0);
    expect(getEventListeners(abort.signal, "abort")).toHaveLength(0);
    expect(await change.wait(40_000)).toBe("aborted");
  });

  test("lets go of the reader's signal when it is closed", async () => {
    const { readers, abort, change } = createWait();
    const outcome = change.wait(40_000);
    change.close();
    expect(await outcome).toBe("aborted");
    expect([readers.size, getEventListeners(abort.signal, "abort").length]).toEqual([0, 0]);
  });

  test("waits without end where there is none, which no timer can hold", async () => {
    const { readers, change } = createWait();
    const outcome = change.wait(Number.POSITIVE_INFINITY);
    const first = await Promise.race([outcome, new Promise((resolve) => setImmediate(resolve, "still waiting"))]);
    expect(first).toBe("still waiting");
    readers.wakeAll();
    expect(await outcome).toBe("changed");
    change.close();
  });
});
