import { getEventListeners } from "node:events";
import { durationMs } from "@bufbuild/protobuf/wkt";
import { Code } from "@connectrpc/connect";
import { describe, expect, test } from "@jest/globals";
import type { WaitConditionInit } from "../../../../client-sdk/src/index.js";
import { contractError } from "../support/contract-errors.js";
import { createLatch } from "../support/latch.js";
import { ManualClock } from "../support/manual-clock.js";
import { connectScripted } from "../support/scripted-client.js";
import { neverAnswer, type Script } from "../support/scripted-server.js";
import { SharedLog } from "../support/shared-log.js";

const user: WaitConditionInit = { dependencyType: "model", dependencyId: "User" };
const met = { conditions: [{ satisfied: true, sequence: 7n }] };

/** A server that notes the sends and waits that come, and answers a send when it may. */
function noting(mayAnswer: () => Promise<void>) {
  const notes: string[] = [];
  const log = new SharedLog();
  const script: Script = {
    signals: {
      batchSendSignals: async (request) => {
        notes.push("send");
        await mayAnswer();
        notes.push("answer");
        return log.append(request);
      },
    },
    coordinations: {
      waitFor: () => {
        notes.push("wait");
        return met;
      },
    },
  };
  return { notes, script };
}

function listenersOf({ signal }: AbortController): number {
  return getEventListeners(signal, "abort").length;
}

describe.each(["grpc", "connect"] as const)("A wait over %s", (protocol) => {
  test("begins when the sends before it are answered", async () => {
    const latch = createLatch();
    const { notes, script } = noting(() => latch.promise);
    await using scripted = await connectScripted(script, { protocol });
    const sent = scripted.session.message({ messageType: "note" });
    const waiting = scripted.session.waitFor(user);
    latch.open();
    expect(await waiting).toEqual({ sequences: [7n] });
    expect(notes).toEqual(["send", "answer", "wait"]);
    await sent;
  });

  test("that is given up while sends before it are not answered never begins", async () => {
    const latch = createLatch();
    const { notes, script } = noting(() => latch.promise);
    await using scripted = await connectScripted(script, { protocol });
    const sent = scripted.session.message({ messageType: "note" });
    const abort = new AbortController();
    const waiting = expect(scripted.session.waitFor(user, { signal: abort.signal })).rejects.toMatchObject({
      reason: "CANCELLED",
      cause: "enough",
    });
    abort.abort("enough");
    await waiting;
    latch.open();
    await sent;
    expect(await scripted.session.waitFor(user)).toEqual({ sequences: [7n] });
    expect(notes).toEqual(["send", "answer", "wait"]);
  });

  test("lets go of its signal when it is over", async () => {
    const { script } = noting(() => Promise.resolve());
    await using scripted = await connectScripted(script, { protocol });
    const abort = new AbortController();
    const waiting = scripted.session.waitFor(user, { signal: abort.signal });
    expect(listenersOf(abort)).toBe(1);
    await waiting;
    expect(listenersOf(abort)).toBe(0);
  });

  test("is not begun with a signal that is aborted", async () => {
    const { notes, script } = noting(() => Promise.resolve());
    await using scripted = await connectScripted(script, { protocol });
    const waiting = scripted.session.waitFor(user, { signal: AbortSignal.abort() });
    await expect(waiting).rejects.toMatchObject({ reason: "CANCELLED" });
    expect(notes).toEqual([]);
  });

  test("that is repeated asks for the rest of its time, more often than other calls are repeated", async () => {
    const clock = new ManualClock();
    const askedMs: number[] = [];
    const script: Script = {
      coordinations: {
        waitFor: ({ timeout }) => {
          askedMs.push(timeout === undefined ? Number.NaN : durationMs(timeout));
          if (askedMs.length > 3) return met;
          throw contractError({ code: Code.Unavailable, reason: "SHUTTING_DOWN" });
        },
      },
    };
    await using scripted = await connectScripted(script, { protocol, clock, retry: { maxAttempts: 2 } });
    const waiting = scripted.session.waitFor(user, { timeoutMs: 1_000 });
    for (const delayMs of [50, 100, 200]) {
      await clock.timerStarted(delayMs);
      clock.advance(delayMs);
    }
    expect(await waiting).toEqual({ sequences: [7n] });
    expect(askedMs).toEqual([1_000, 950, 850, 650]);
  });

  test("ends with its session, and its call with it", async () => {
    const arrived = createLatch();
    const left = createLatch();
    const script: Script = {
      coordinations: {
        waitFor: (_, context) => {
          arrived.open();
          context.signal.addEventListener("abort", () => left.open());
          return neverAnswer(context);
        },
      },
    };
    await using scripted = await connectScripted(script, { protocol });
    const waiting = expect(scripted.session.waitFor(user)).rejects.toMatchObject({ reason: "CLIENT_CLOSED" });
    await arrived.promise;
    await scripted.session[Symbol.asyncDispose]();
    await waiting;
    await left.promise;
  });
});
