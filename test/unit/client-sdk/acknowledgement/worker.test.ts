import { describe, expect, test } from "@jest/globals";
import type { DeliveredSignal } from "../../../../client-sdk/src/index.js";
import { endOfTurn } from "../support/end-of-turn.js";
import { createLatch } from "../support/latch.js";
import { ManualClock } from "../support/manual-clock.js";
import { connectScripted } from "../support/scripted-client.js";
import type { Script } from "../support/scripted-server.js";
import { refused, type ScriptedWork, scriptedWork } from "../support/scripted-work.js";

describe("session.work", () => {
  test("acknowledges what its handler has done, refuses what it has not, and leaves alone what it has settled", async () => {
    const work = scriptedWork([[1, 2, 3, 4]]);
    await using scripted = await connectScripted(work.script);
    const errors: unknown[] = [];
    const failure = new Error("no such contract");
    const handler = async ({ sequence, delivery }: DeliveredSignal) => {
      if (sequence === 2n) throw failure;
      if (sequence === 3n) await delivery.reject("never");
      if (sequence === 4n) {
        await delivery.nack({ delayMs: 5 });
        throw failure;
      }
    };
    const onError = (error: unknown, { sequence }: DeliveredSignal) => errors.push([sequence, error]);
    await using worker = scripted.session.work({ subscription: "work", maxConcurrent: 1, onError }, handler);
    await worker.ready();
    await work.saidSoMuch(4);
    expect(work.said).toEqual(["ack 1.1", "nack 2.1 no such contract", "reject 3.1 never", "nack 4.1"]);
    await worker.close();
    expect(errors).toEqual([
      [2n, failure],
      [4n, failure],
    ]);
    await worker.finished;
  });

  test("works on so many at the same time, and takes the next when one is done", async () => {
    const work = scriptedWork([[1, 2, 3]]);
    await using scripted = await connectScripted(work.script);
    const started: bigint[] = [];
    const gates = [createLatch(), createLatch(), createLatch()];
    const twoStarted = createLatch();
    const allStarted = createLatch();
    await using worker = scripted.session.work({ subscription: "work", maxConcurrent: 2 }, async ({ sequence }) => {
      started.push(sequence);
      if (started.length === 2) twoStarted.open();
      if (started.length === 3) allStarted.open();
      await gates[Number(sequence) - 1]?.promise;
    });
    await twoStarted.promise;
    expect(started).toEqual([1n, 2n]);
    gates[1]?.open();
    await allStarted.promise;
    await work.saidSoMuch(1);
    const said = [...work.said];
    gates[0]?.open();
    gates[2]?.open();
    await work.saidSoMuch(3);
    await worker.close();
    expect(said).toEqual(["ack 2.1"]);
  });

  test("takes the next while an acknowledgement is on its way", async () => {
    const work = scriptedWork([[1, 2]]);
    const second = createLatch();
    await using scripted = await connectScripted(answeringAfter(work, () => second.promise));
    await using worker = scripted.session.work({ subscription: "work", maxConcurrent: 1 }, ({ sequence }) => {
      if (sequence === 2n) second.open();
    });
    await work.saidSoMuch(2);
    await worker.close();
    expect(work.said).toEqual(["ack 1.1", "ack 2.1"]);
  });

  test("waits for the handlers that run and for their acknowledgements when it is closed, and takes nothing new", async () => {
    const work = scriptedWork([[1, 2]]);
    await using scripted = await connectScripted(work.script);
    const started = createLatch();
    const gate = createLatch();
    const seen: bigint[] = [];
    const worker = scripted.session.work({ subscription: "work", maxConcurrent: 1 }, async ({ sequence }) => {
      seen.push(sequence);
      started.open();
      await gate.promise;
    });
    await started.promise;
    const closed = worker.close();
    gate.open();
    await closed;
    expect(seen).toEqual([1n]);
    expect(work.said).toEqual(["ack 1.1"]);
  });

  test.each(["close()", "its signal"])(
    "keeps what its handlers are at when %s ends it and more has come",
    async (end) => {
      const work = scriptedWork([[1, 2, 3]]);
      await using scripted = await connectScripted(work.script);
      const abort = new AbortController();
      const seen: bigint[] = [];
      const leases: AbortSignal[] = [];
      const options = { subscription: "work", maxConcurrent: 2, signal: abort.signal };
      const worker = scripted.session.work(options, async ({ sequence, delivery }, lease) => {
        seen.push(sequence);
        leases.push(lease);
        if (end === "close()") void worker.close();
        else abort.abort();
        // A round trip later the stream would be gone.
        await delivery.extend();
        await endOfTurn();
        await delivery.extend();
      });
      await worker.finished;
      expect(seen).toEqual([1n]);
      expect(leases.map(({ aborted }) => aborted)).toEqual([false]);
      expect(work.said).toEqual(["extend 1.1", "extend 1.1", "ack 1.1"]);
      expect(await work.leftAfter).toBe(3);
      await worker.close();
    },
  );

  test("extends what is worked on and what waits for it, in one call, until it is done", async () => {
    const clock = new ManualClock();
    const work = scriptedWork([[1, 2, 3]]);
    await using scripted = await connectScripted(work.script, { clock });
    const gate = createLatch();
    const started = createLatch();
    const options = { subscription: "work", maxConcurrent: 1, ack: { deadlineMs: 3_000 } };
    const worker = scripted.session.work(options, async () => {
      started.open();
      await gate.promise;
    });
    await started.promise;
    await clock.timerStarted(1_000);
    clock.advance(1_000);
    await work.saidSoMuch(3);
    expect(work.said).toEqual(["extend 1.1", "extend 2.1", "extend 3.1"]);
    expect(work.acknowledges).toHaveLength(1);
    expect(work.acknowledges[0]?.acknowledgements[0]?.delay).toBeUndefined();
    gate.open();
    await work.saidSoMuch(6);
    await worker.close();
    expect(work.said.slice(3)).toEqual(["ack 1.1", "ack 2.1", "ack 3.1"]);
    expect(clock.delaysMs()).not.toContain(1_000);
  });

  test("tells a handler that its signal may be somebody else's", async () => {
    const clock = new ManualClock();
    const work = scriptedWork([[1]], () => refused("ACK_EXPIRED"));
    await using scripted = await connectScripted(work.script, { clock });
    const errors: unknown[] = [];
    const lost = createLatch<unknown>();
    const options = { subscription: "work", onError: (error: unknown) => errors.push(error) };
    const worker = scripted.session.work(options, async (_signal, lease) => {
      await new Promise((resolve) => lease.addEventListener("abort", resolve, { once: true }));
      lost.open(lease.reason);
    });
    await clock.timerStarted(10_000);
    clock.advance(10_000);
    expect(await lost.promise).toMatchObject({ reason: "ACK_EXPIRED" });
    await worker.close();
    expect(work.said).toEqual(["extend 1.1", "ack 1.1"]);
    expect(errors).toMatchObject([{ name: "AckExpiredError" }]);
  });

  test("tells a handler that its signal may be somebody else's when no extension is answered before its time has passed", async () => {
    const clock = new ManualClock();
    const answered = createLatch();
    const work = scriptedWork([[1]]);
    await using scripted = await connectScripted(
      answeringAfter(work, () => answered.promise),
      { clock },
    );
    const started = createLatch<AbortSignal>();
    const gate = createLatch();
    const options = { subscription: "work", ack: { deadlineMs: 3_000 } };
    const worker = scripted.session.work(options, async (_signal, lease) => {
      started.open(lease);
      await gate.promise;
    });
    const lease = await started.promise;
    clock.advance(2_999);
    const isAborted = [lease.aborted];
    clock.advance(1);
    isAborted.push(lease.aborted);
    gate.open();
    answered.open();
    await worker.close();
    expect(isAborted).toEqual([false, true]);
  });

  test("counts a handler's time from when an extension was asked for that was taken, for as long as was asked", async () => {
    const clock = new ManualClock();
    const others = createLatch();
    const work = scriptedWork([[1]]);
    let calls = 0;
    const script = answeringAfter(work, () => (calls++ === 0 ? Promise.resolve() : others.promise));
    await using scripted = await connectScripted(script, { clock });
    const extended = createLatch<AbortSignal>();
    const gate = createLatch();
    const options = { subscription: "work", ack: { deadlineMs: 3_000 } };
    const worker = scripted.session.work(options, async ({ delivery }, lease) => {
      clock.advance(500);
      const extension = delivery.extend(4_000);
      clock.advance(400);
      await extension;
      extended.open(lease);
      await gate.promise;
    });
    const lease = await extended.promise;
    clock.advance(3_599);
    const isAborted = [lease.aborted];
    clock.advance(1);
    isAborted.push(lease.aborted);
    gate.open();
    others.open();
    await worker.close();
    expect(isAborted).toEqual([false, true]);
  });

  test("works on what comes again after its stream was lost", async () => {
    const work = scriptedWork([[1], [1]]);
    await using scripted = await connectScripted(work.script);
    const attempts: number[] = [];
    const leases: AbortSignal[] = [];
    const gate = createLatch();
    await using worker = scripted.session.work({ subscription: "work" }, async ({ delivery }, lease) => {
      attempts.push(delivery.attempt);
      leases.push(lease);
      if (delivery.attempt === 1) {
        scripted.server.cut();
        await gate.promise;
      }
    });
    await work.saidSoMuch(1);
    expect(work.said).toEqual(["ack 1.2"]);
    expect(attempts).toEqual([1, 2]);
    expect(leases[0]?.aborted).toBe(true);
    gate.open();
    await work.saidSoMuch(2);
    await worker.close();
  });

  test("ends with what its error handler throws", async () => {
    const work = scriptedWork([[1]]);
    await using scripted = await connectScripted(work.script);
    const fatal = new Error("fatal");
    const options = {
      subscription: "work",
      onError: (error: unknown) => {
        throw error;
      },
    };
    const worker = scripted.session.work(options, () => {
      throw fatal;
    });
    await expect(worker.finished).rejects.toBe(fatal);
    expect(work.said).toEqual(["nack 1.1 fatal"]);
    await worker.close();
  });

  test("ends with its subscription", async () => {
    await using scripted = await connectScripted({ signals: {} });
    const worker = scripted.session.work({ subscription: "work" }, () => undefined);
    await expect(worker.ready()).rejects.toMatchObject({ code: "UNIMPLEMENTED" });
    await expect(worker.finished).rejects.toMatchObject({ code: "UNIMPLEMENTED" });
    await worker.close();
  });

  test("says no more of a failure than the contract takes", async () => {
    const work = scriptedWork([[1, 2]]);
    await using scripted = await connectScripted(work.script);
    await using worker = scripted.session.work({ subscription: "work", maxConcurrent: 1 }, ({ sequence }) => {
      if (sequence === 1n) throw new Error("😀".repeat(2_000));
      throw "half a \ud83d";
    });
    await work.saidSoMuch(2);
    const reasons = work.acknowledges.flatMap(({ acknowledgements }) => acknowledgements.map(({ reason }) => reason));
    expect(reasons).toEqual(["😀".repeat(1_024), "half a \ufffd"]);
    await worker.close();
  });
});

/** A server that answers acknowledgements only when it may. */
function answeringAfter({ script }: ScriptedWork, mayAnswer: () => Promise<void>): Script {
  const acknowledge = script.signals?.acknowledgeSignals;
  return {
    signals: {
      ...script.signals,
      acknowledgeSignals: async (request, context) => {
        await mayAnswer();
        return (await acknowledge?.(request, context)) ?? {};
      },
    },
  };
}
