import { Code } from "@connectrpc/connect";
import { AckMode } from "@coordination-signals/proto/coordination/v1/acknowledgement";
import { describe, expect, test } from "@jest/globals";
import {
  AckExpiredError,
  type AcknowledgedSubscription,
  type DeliveredSignal,
  InternalError,
  InvalidRequestError,
  NotDeliveredError,
  OverloadedError,
  UnavailableError,
} from "../../../../client-sdk/src/index.js";
import { contractError } from "../support/contract-errors.js";
import { createLatch } from "../support/latch.js";
import { ManualClock } from "../support/manual-clock.js";
import { connectScripted } from "../support/scripted-client.js";
import { batch, storeAll, subscribed } from "../support/scripted-log.js";
import { neverAnswer } from "../support/scripted-server.js";
import { delivered, refused, scriptedWork } from "../support/scripted-work.js";

async function take(subscription: AcknowledgedSubscription, count: number): Promise<readonly DeliveredSignal[]> {
  const taken: DeliveredSignal[] = [];
  while (taken.length < count) {
    const { value, done } = await subscription.next();
    if (done === true) throw new Error("it has ended");
    taken.push(value);
  }
  return taken;
}

describe("session.subscribe with a name", () => {
  test("asks for what its options say, and for nothing where they say nothing", async () => {
    const { script, subscribes } = scriptedWork([]);
    await using scripted = await connectScripted(script);
    const ack = {
      deadlineMs: 1_500,
      maxDeliveryAttempts: 3,
      minBackoffMs: 0,
      maxBackoffMs: 250,
      maxOutstanding: 10,
    };
    const options = { subscription: "work", types: ["interAgentMessage"], from: "earliest", ack } as const;
    await using full = scripted.session.subscribe(options);
    await full.ready();
    await using bare = scripted.client.coordination("c").subscribe({ subscription: "work" });
    await bare.ready();
    expect(subscribes[0]).toMatchObject({
      coordinationId: "c",
      agentId: "agent",
      subscription: "work",
      start: { case: "position", value: 2 },
      ackPolicy: {
        mode: AckMode.EXPLICIT,
        ackDeadline: { seconds: 1n, nanos: 500_000_000 },
        maxDeliveryAttempts: 3,
        minBackoff: { seconds: 0n, nanos: 0 },
        maxBackoff: { seconds: 0n, nanos: 250_000_000 },
        maxOutstanding: 10,
      },
    });
    expect(subscribes[1]).toMatchObject({ agentId: "", subscription: "work", start: { case: undefined } });
    expect(subscribes[1]?.ackPolicy).toMatchObject({ mode: AckMode.EXPLICIT, maxDeliveryAttempts: 0 });
    expect(subscribes[1]?.ackPolicy?.ackDeadline).toBeUndefined();
  });

  test("hands out each signal with its delivery", async () => {
    const { script } = scriptedWork([[1, 2]]);
    await using scripted = await connectScripted(script);
    await using subscription = scripted.session.subscribe({ subscription: "work" });
    const [first, second] = await take(subscription, 2);
    expect(first).toMatchObject({ sequence: 1n, event: { case: "interAgentMessage" } });
    expect(first?.delivery).toMatchObject({ deliveryId: "1.1", attempt: 1, isRedelivery: false, isSettled: false });
    expect(first?.delivery.deadline).toEqual(new Date(30_000));
    expect(second?.delivery.deliveryId).toBe("2.1");
  });

  test("tells the server what became of each delivery, in one call for what is said in one turn", async () => {
    const { script, acknowledges, said } = scriptedWork([[1, 2, 3, 4]], ({ deliveryId }) => {
      if (deliveryId === "2.1") return { availableTime: { seconds: 7n } };
      return deliveryId === "4.1" ? { deadline: { seconds: 9n } } : {};
    });
    await using scripted = await connectScripted(script);
    await using subscription = scripted.session.subscribe({ subscription: "work" });
    const [a, b, c, d] = await take(subscription, 4);
    const answers = await Promise.all([
      a?.delivery.ack(),
      b?.delivery.nack({ delayMs: 250, reason: "not now" }),
      c?.delivery.reject("never"),
      d?.delivery.extend(500),
    ]);
    expect(answers).toEqual([
      undefined,
      { deadLettered: false, availableTime: new Date(7_000) },
      undefined,
      new Date(9_000),
    ]);
    expect(said).toEqual(["ack 1.1", "nack 2.1 not now", "reject 3.1 never", "extend 4.1"]);
    expect(acknowledges).toHaveLength(1);
    expect(acknowledges[0]).toMatchObject({ coordinationId: "c", subscription: "work" });
    expect(acknowledges[0]?.acknowledgements.map(({ delay }) => delay?.nanos)).toEqual([
      undefined,
      250_000_000,
      undefined,
      500_000_000,
    ]);
    expect([a, b, c, d].map((signal) => signal?.delivery.isSettled)).toEqual([true, true, true, false]);
    expect(d?.delivery.deadline).toEqual(new Date(9_000));
  });

  test("sends what is said while a call is on its way in the next, at most 1,000 at once", async () => {
    const work = scriptedWork([Array.from({ length: 1_501 }, (_, index) => index + 1)]);
    const first = createLatch();
    const arrived = createLatch();
    const acknowledge = work.script.signals?.acknowledgeSignals;
    await using scripted = await connectScripted({
      signals: {
        ...work.script.signals,
        acknowledgeSignals: async (request, context) => {
          arrived.open();
          await first.promise;
          return (await acknowledge?.(request, context)) ?? {};
        },
      },
    });
    await using subscription = scripted.session.subscribe({ subscription: "work" });
    const [lone, ...others] = await take(subscription, 1_501);
    const acks = [lone?.delivery.ack()];
    await arrived.promise;
    acks.push(...others.map(({ delivery }) => delivery.ack()));
    first.open();
    await Promise.all(acks);
    expect(work.acknowledges.map(({ acknowledgements }) => acknowledgements.length)).toEqual([1, 1_000, 500]);
  });

  test("refuses what is refused by itself, with its own error", async () => {
    const { script } = scriptedWork([[1, 2, 3]], ({ deliveryId }) => {
      if (deliveryId === "1.1") return refused("ACK_EXPIRED");
      return deliveryId === "2.1" ? refused("NOT_DELIVERED") : {};
    });
    await using scripted = await connectScripted(script);
    await using subscription = scripted.session.subscribe({ subscription: "work" });
    const signals = await take(subscription, 3);
    const [expired, unknown, fine] = await Promise.allSettled(signals.map(({ delivery }) => delivery.ack()));
    expect(expired).toMatchObject({ reason: expect.any(AckExpiredError) });
    expect(unknown).toMatchObject({ reason: expect.any(NotDeliveredError) });
    expect(fine?.status).toBe("fulfilled");
  });

  test("fails all of a call that fails, and repeats one that found no server", async () => {
    const work = scriptedWork([[1, 2, 3]]);
    const failures = [
      contractError({ code: Code.Unavailable, reason: "SHUTTING_DOWN" }),
      undefined,
      contractError({ code: Code.ResourceExhausted, reason: "RATE_LIMITED" }),
    ];
    const acknowledge = work.script.signals?.acknowledgeSignals;
    await using scripted = await connectScripted({
      signals: {
        ...work.script.signals,
        acknowledgeSignals: async (request, context) => {
          const failure = failures.shift();
          if (failure !== undefined) throw failure;
          return (await acknowledge?.(request, context)) ?? {};
        },
      },
    });
    await using subscription = scripted.session.subscribe({ subscription: "work" });
    const [first, ...others] = await take(subscription, 3);
    await first?.delivery.ack();
    expect(work.said).toEqual(["ack 1.1"]);
    const settled = await Promise.allSettled(others.map(({ delivery }) => delivery.ack()));
    for (const result of settled) expect(result).toMatchObject({ reason: expect.any(OverloadedError) });
  });

  test("takes for done what turns out to be done when it was said again, and nothing else", async () => {
    const causes = ["settled", "dead_lettered", "superseded", "released", "expired", "dead_lettered", "settled"];
    let calls = 0;
    const work = scriptedWork([[1, 2, 3, 4, 5, 6, 7, 8]], ({ deliveryId }) =>
      refused("ACK_EXPIRED", causes[Number.parseInt(deliveryId, 10) - 1] ?? "settled"),
    );
    const acknowledge = work.script.signals?.acknowledgeSignals;
    await using scripted = await connectScripted({
      signals: {
        ...work.script.signals,
        acknowledgeSignals: async (request, context) => {
          calls += 1;
          if (calls === 1) throw contractError({ code: Code.Unavailable, reason: "STORE_UNAVAILABLE" });
          return (await acknowledge?.(request, context)) ?? {};
        },
      },
    });
    await using subscription = scripted.session.subscribe({ subscription: "work" });
    const deliveries = (await take(subscription, 8)).map(({ delivery }) => delivery);
    const repeated = await Promise.allSettled(
      deliveries.slice(0, 7).map((delivery, index) => {
        if (index === 5) return delivery.reject();
        return index === 6 ? delivery.nack() : delivery.ack();
      }),
    );
    const [once] = await Promise.allSettled([deliveries[7]?.ack()]);
    const failed = { status: "rejected", reason: expect.any(AckExpiredError) };
    expect(repeated).toMatchObject([
      { status: "fulfilled" },
      failed,
      failed,
      failed,
      failed,
      { status: "fulfilled" },
      failed,
    ]);
    expect(once).toMatchObject(failed);
  });

  test("takes an answer with too few results for a broken server", async () => {
    const work = scriptedWork([[1]]);
    await using scripted = await connectScripted({
      signals: { ...work.script.signals, acknowledgeSignals: () => ({ results: [] }) },
    });
    await using subscription = scripted.session.subscribe({ subscription: "work" });
    const [signal] = await take(subscription, 1);
    await expect(signal?.delivery.ack()).rejects.toBeInstanceOf(InternalError);
  });

  test("waits for acknowledgements when its signal ends it", async () => {
    const work = scriptedWork([[1]]);
    const acknowledge = work.script.signals?.acknowledgeSignals;
    await using scripted = await connectScripted({
      signals: {
        ...work.script.signals,
        batchSendSignals: (request) => storeAll(request),
        acknowledgeSignals: async (request, context) => {
          abort.abort();
          // A round trip later the stream would be gone.
          await scripted.session.message({ messageType: "note" });
          return (await acknowledge?.(request, context)) ?? {};
        },
      },
    });
    const abort = new AbortController();
    const subscription = scripted.session.subscribe({ subscription: "work", signal: abort.signal });
    const [signal] = await take(subscription, 1);
    await signal?.delivery.ack();
    expect(await work.leftAfter).toBe(1);
    expect(await subscription.next()).toEqual({ done: true, value: undefined });
  });

  test("opens no stream when its signal has ended it before", async () => {
    const work = scriptedWork([[1]]);
    await using scripted = await connectScripted(work.script);
    const subscription = scripted.session.subscribe({ subscription: "work", signal: AbortSignal.abort() });
    expect(await subscription.next()).toEqual({ done: true, value: undefined });
    expect(work.subscribes).toEqual([]);
  });

  test("takes signals without their deliveries for a broken server", async () => {
    await using scripted = await connectScripted({
      signals: {
        async *subscribe() {
          yield subscribed(0, "");
          yield batch(0, 1, [1]);
        },
      },
    });
    await using subscription = scripted.session.subscribe({ subscription: "work" });
    await expect(subscription.next()).rejects.toMatchObject({ reason: "UNEXPECTED_RESPONSE" });
  });

  test("goes on by its name when its stream was lost, and marks what comes again", async () => {
    let streams = 0;
    const requests: unknown[] = [];
    await using scripted = await connectScripted({
      signals: {
        async *subscribe({ start, subscription, ackPolicy }) {
          streams += 1;
          requests.push([start.case, subscription, ackPolicy?.mode]);
          yield subscribed(0, "");
          // The range of the second stream does not join that of the first: others have consumed what was between them.
          yield delivered(streams === 1 ? [1, 2] : [2, 9], streams);
          if (streams === 1) throw contractError({ code: Code.Unavailable, reason: "SHUTTING_DOWN" });
        },
      },
    });
    await using subscription = scripted.session.subscribe({ subscription: "work", from: "earliest" });
    const signals = await take(subscription, 4);
    expect(signals.map(({ sequence, delivery }) => [sequence, delivery.attempt, delivery.isRedelivery])).toEqual([
      [1n, 1, false],
      [2n, 1, false],
      [2n, 2, true],
      [9n, 2, true],
    ]);
    expect(requests).toEqual([
      ["position", "work", AckMode.EXPLICIT],
      ["position", "work", AckMode.EXPLICIT],
    ]);
    expect((await subscription.next()).done).toBe(true);
  });

  test("ends when the log is another one after a reconnect", async () => {
    let streams = 0;
    await using scripted = await connectScripted({
      signals: {
        async *subscribe() {
          streams += 1;
          yield subscribed(0, "", `epoch${streams}`);
          throw contractError({ code: Code.Unavailable, reason: "SHUTTING_DOWN" });
        },
      },
    });
    await using subscription = scripted.session.subscribe({ subscription: "work" });
    await expect(subscription.next()).rejects.toMatchObject({ reason: "EPOCH_CHANGED" });
  });

  test("ends with what the server refuses it for", async () => {
    await using scripted = await connectScripted({
      signals: {
        // biome-ignore lint/correctness/useYield: it fails before it could
        async *subscribe() {
          throw contractError({ code: Code.FailedPrecondition, reason: "SUBSCRIPTION_CONFLICT" });
        },
      },
    });
    await using subscription = scripted.session.subscribe({ subscription: "work" });
    await expect(subscription.ready()).rejects.toMatchObject({ reason: "SUBSCRIPTION_CONFLICT" });
    await expect(subscription.next()).rejects.toMatchObject({ name: "PreconditionError" });
  });

  test("is closed only when its acknowledgements are answered, with its session too", async () => {
    const work = scriptedWork([[1, 2]]);
    let stream: AbortSignal | undefined;
    const openWhenAcknowledged: boolean[] = [];
    const { subscribe, acknowledgeSignals } = work.script.signals ?? {};
    await using scripted = await connectScripted({
      signals: {
        ...work.script.signals,
        async *subscribe(request, context) {
          stream = context.signal;
          if (subscribe !== undefined) yield* subscribe(request, context);
        },
        acknowledgeSignals: async (request, context) => {
          const response = await acknowledgeSignals?.(request, context);
          openWhenAcknowledged.push(stream?.aborted === false);
          return response ?? {};
        },
      },
    });
    for (const session of [scripted.session, scripted.client.coordination("c", { agentId: "other" })]) {
      const statuses: string[] = [];
      const onStatus = ({ type }: { readonly type: string }) => statuses.push(type);
      const subscription = session.subscribe({ subscription: "work", onStatus });
      const [signal] = await take(subscription, 1);
      const acked = signal?.delivery.ack();
      await (session === scripted.session ? subscription.close() : session[Symbol.asyncDispose]());
      await acked;
      expect(statuses).toEqual(["connected", "closed"]);
      expect((await subscription.next()).done).toBe(true);
      work.subscribes.length = 0;
    }
    expect(openWhenAcknowledged).toEqual([true, true]);
  });

  test("is closed after closeTimeoutMs though its acknowledgements have no answer, which then are cancelled", async () => {
    const clock = new ManualClock();
    const work = scriptedWork([[1]]);
    await using scripted = await connectScripted(
      { signals: { ...work.script.signals, acknowledgeSignals: (_, context) => neverAnswer(context) } },
      { clock, closeTimeoutMs: 7 },
    );
    const subscription = scripted.session.subscribe({ subscription: "work" });
    const [signal] = await take(subscription, 1);
    const acked = signal?.delivery.ack().catch((error: unknown) => error);
    const closed = subscription.close();
    await clock.timerStarted(7);
    clock.advance(7);
    expect(await acked).toMatchObject({ reason: "CLIENT_CLOSED" });
    await closed;
  });

  test("says that it cannot acknowledge once the client is closed", async () => {
    const { script } = scriptedWork([[1]]);
    const scripted = await connectScripted(script);
    const subscription = scripted.session.subscribe({ subscription: "work" });
    const [signal] = await take(subscription, 1);
    await scripted[Symbol.asyncDispose]();
    await expect(signal?.delivery.ack()).rejects.toMatchObject({ reason: "CLIENT_CLOSED" });
  });

  test.each([
    [{ subscription: "" }, "subscription is missing"],
    [{ ack: { deadlineMs: 5_000 } }, "subscription is missing"],
    [{ subscription: "work", from: { cursor: "x" } }, "cannot start at"],
    [{ subscription: "work", ack: { deadline: 5 } }, 'unknown option "deadline"'],
    [{ subscription: "work", ack: { deadlineMs: -1 } }, "deadlineMs is -1"],
    [{ subscription: "work", ack: { maxOutstanding: 0 } }, "maxOutstanding is 0"],
    [{ subscription: "work", ack: { maxDeliveryAttempts: 1.5 } }, "maxDeliveryAttempts is 1.5"],
    [{ subscription: "work", type: ["interAgentMessage"] }, 'unknown option "type"'],
  ])("refuses options that would not mean what they say, before anything is opened: %o", async (options, message) => {
    const { script, subscribes } = scriptedWork([]);
    await using scripted = await connectScripted(script);
    const subscribe = () => scripted.session.subscribe(options as unknown as { readonly subscription: string });
    expect(subscribe).toThrow(InvalidRequestError);
    expect(subscribe).toThrow(message);
    expect(subscribes).toEqual([]);
  });

  test("refuses a span that is none, and says so at once", async () => {
    const { script, said } = scriptedWork([[1]]);
    await using scripted = await connectScripted(script);
    await using subscription = scripted.session.subscribe({ subscription: "work" });
    const [signal] = await take(subscription, 1);
    await expect(signal?.delivery.nack({ delayMs: Number.NaN })).rejects.toBeInstanceOf(InvalidRequestError);
    await expect(signal?.delivery.extend(-1)).rejects.toBeInstanceOf(InvalidRequestError);
    expect(signal?.delivery.isSettled).toBe(false);
    expect(said).toEqual([]);
  });

  test("gives up acknowledging when no server comes back", async () => {
    const work = scriptedWork([[1]]);
    const refuse = () => {
      throw contractError({ code: Code.Unavailable, reason: "SHUTTING_DOWN" });
    };
    await using scripted = await connectScripted(
      { signals: { ...work.script.signals, acknowledgeSignals: refuse } },
      { retry: { maxAttempts: 2, initialDelayMs: 1 } },
    );
    await using subscription = scripted.session.subscribe({ subscription: "work" });
    const [signal] = await take(subscription, 1);
    await expect(signal?.delivery.ack()).rejects.toBeInstanceOf(UnavailableError);
  });
});
