import { afterAll, describe, expect, test } from "@jest/globals";
import { ManualClock } from "../support/manual-clock.js";
import { NamedConsumer } from "../support/named-consumer.js";
import { openReplicas } from "../support/replicas-under-test.js";
import { openTestPostgres } from "../support/test-postgres.js";

const postgres = await openTestPostgres();

afterAll(async () => postgres?.[Symbol.asyncDispose]());

const longestMs = 3_600_000;

function clockAt(offsetMs: number): ManualClock {
  const clock = new ManualClock();
  clock.stepTo(clock.nowMs() + offsetMs);
  return clock;
}

/**
 * What a consumer is handed first on a server whose clock is behind another one's, where a consumer has the first of two signals
 * and does this with it.
 */
async function handedBehind(
  behindMs: number,
  { ackDeadlineMs, action }: { readonly ackDeadlineMs: number; readonly action?: "extend" | "nack" },
): Promise<readonly [sequence: bigint, attempt: number]> {
  const url = (await postgres?.createDatabase()) ?? "";
  await using ahead = await openReplicas(url, 1, { clock: clockAt(behindMs) });
  await using behind = await openReplicas(url, 1, { clock: clockAt(0) });
  await ahead.at(0).send();
  const holder = new NamedConsumer(ahead.at(0).coordinator, { policy: { ackDeadlineMs } });
  await holder.untilHanded(1);
  if (action !== undefined) {
    const outcomes = await holder.acknowledge(holder.handed, action, longestMs);
    expect(outcomes).toMatchObject([{ is: action === "extend" ? "extended" : "resting" }]);
  }
  const other = await new NamedConsumer(behind.at(0).coordinator, { policy: { ackDeadlineMs } }).join();
  // Whoever has the first is handed nothing more before it asks.
  await behind.at(0).send();
  await other.untilHanded(1);
  const [handed] = other.handed;
  await other.leave();
  await holder.leave();
  return [handed?.entry.sequence ?? 0n, handed?.attempt ?? 0];
}

(postgres === undefined ? describe.skip : describe)("a delivery on servers whose clocks differ", () => {
  test.each([
    ["is leased as long as one can be", { ackDeadlineMs: longestMs }],
    ["is extended as far as one can be", { ackDeadlineMs: 30_000, action: "extend" }],
    ["rests as long as one can", { ackDeadlineMs: 30_000, action: "nack" }],
  ] as const)("is nobody else's when it %s", async (_, what) => {
    for (const behindMs of [1, 100, 60_000]) expect(await handedBehind(behindMs, what)).toEqual([2n, 1]);
  });

  test("is delivered again when a clock that has gone back far has left it due later than it can be", async () => {
    expect(await handedBehind(longestMs, { ackDeadlineMs: longestMs })).toEqual([1n, 2]);
  });
});
