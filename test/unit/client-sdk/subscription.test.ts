import { getEventListeners } from "node:events";
import { Code } from "@connectrpc/connect";
import type { SubscribeRequest } from "@coordination-signals/proto/coordination/v1/signal_service";
import { describe, expect, test } from "@jest/globals";
import {
  CancelledError,
  type CoordinationSession,
  InternalError,
  InvalidRequestError,
  NotFoundError,
  OutOfRangeError,
  OverloadedError,
  type Subscription,
  type SubscriptionStatus,
} from "../../../client-sdk/src/index.js";
import { contractError } from "./support/contract-errors.js";
import { createLatch } from "./support/latch.js";
import { connectScripted } from "./support/scripted-client.js";
import { batch, caughtUp, checkpoint, cursorAt, epoch, signalAt, subscribed } from "./support/scripted-log.js";
import { clientLeft, type Script } from "./support/scripted-server.js";

type Subscribe = NonNullable<NonNullable<Script["signals"]>["subscribe"]>;

/** Two signals, then nothing until the client goes. */
function twoSignals(left: () => void): Subscribe {
  return async function* (_, context) {
    yield subscribed(2);
    yield batch(0, 2, [1, 2]);
    await clientLeft(context);
    left();
  };
}

async function collect<T>(items: AsyncIterable<T>): Promise<readonly T[]> {
  const collected: T[] = [];
  for await (const item of items) collected.push(item);
  return collected;
}

async function sequencesOf(subscription: Subscription): Promise<readonly bigint[]> {
  const sequences: bigint[] = [];
  for await (const { sequence } of subscription) sequences.push(sequence);
  return sequences;
}

describe("Subscription", () => {
  test("hands out history and live signals in order and ends with the server", async () => {
    await using scripted = await connectScripted({
      signals: {
        async *subscribe() {
          yield subscribed(3);
          yield batch(0, 2, [1, 2]);
          yield caughtUp(2);
          yield batch(2, 3, [3]);
        },
      },
    });
    expect(await sequencesOf(scripted.session.subscribe({ from: "earliest" }))).toEqual([1n, 2n, 3n]);
  });

  test("asks for what its options say", async () => {
    const requests: SubscribeRequest[] = [];
    await using scripted = await connectScripted({
      signals: {
        async *subscribe(request) {
          requests.push(request);
          yield subscribed(0);
        },
      },
    });
    await sequencesOf(scripted.session.subscribe({ from: { afterSequence: 7n }, checkpointIntervalMs: 250 }));
    await sequencesOf(scripted.client.coordination("c").subscribe({ includeOwn: true }));
    expect(requests).toMatchObject([
      {
        coordinationId: "c",
        agentId: "agent",
        start: { case: "afterSequence", value: 7n },
        checkpointInterval: { seconds: 0n, nanos: 250_000_000 },
        includeOwn: false,
      },
      { agentId: "", start: { case: "position", value: 1 }, checkpointInterval: { seconds: 5n }, includeOwn: true },
    ]);
  });

  test("refuses options that cannot be understood before it opens a stream", async () => {
    await using scripted = await connectScripted({});
    const open = (options: object) => () => scripted.session.subscribe(options);
    expect(open({ type: ["agentCompleted"] })).toThrow(InvalidRequestError);
    expect(open({ types: [] })).toThrow(InvalidRequestError);
    expect(open({ from: "oldest" })).toThrow(InvalidRequestError);
    expect(open({ idleTimeoutMs: 0 })).toThrow(InvalidRequestError);
    const { signal } = new AbortController();
    expect(open({ types: [], signal })).toThrow(InvalidRequestError);
    expect(getEventListeners(signal, "abort")).toEqual([]);
  });

  test("refuses a signal of a type that was not asked for", async () => {
    await using scripted = await connectScripted({ signals: { subscribe: twoSignals(() => undefined) } });
    const subscription = scripted.session.subscribe({ types: ["agentCompleted"] });
    await expect(subscription.next()).rejects.toThrow(InternalError);
  });

  test("passes by items of a kind it does not know", async () => {
    await using scripted = await connectScripted({
      signals: {
        async *subscribe() {
          yield subscribed(1);
          yield {};
          yield batch(0, 1, [1]);
        },
      },
    });
    expect(await sequencesOf(scripted.session.subscribe())).toEqual([1n]);
  });

  test("does not read ahead of its consumer, and leaves the connection to others", async () => {
    let produced = 0;
    await using scripted = await connectScripted({
      signals: {
        async *subscribe(_, context) {
          yield subscribed(10_000);
          for (let after = 0; after < 10_000 && !context.signal.aborted; after += 1) {
            produced += 1;
            const text = "x".repeat(200_000);
            yield {
              item: {
                case: "batch",
                value: {
                  signals: [signalAt(after + 1, text)],
                  cursor: cursorAt(after + 1),
                  afterSequence: BigInt(after),
                  throughSequence: BigInt(after + 1),
                },
              },
            };
          }
        },
        getSignalMetrics: () => ({ totalSignalsSent: 1n }),
      },
    });
    const subscription = scripted.session.subscribe({ from: "earliest" });
    await subscription.next();
    for (let call = 0; call < 200; call += 1) await scripted.session.metrics();
    expect(produced).toBeLessThan(50);
  });
});

describe("Subscription's beginning", () => {
  test("is ready once the server says so, without being read", async () => {
    await using scripted = await connectScripted({ signals: { subscribe: twoSignals(() => undefined) } });
    const subscription = scripted.session.subscribe();
    expect(subscription.cursor).toBeUndefined();
    await subscription.ready();
    expect(subscription.cursor).toBe(cursorAt(0));
  });

  test("fails both ready() and the iteration when it is refused", async () => {
    await using scripted = await connectScripted({
      signals: {
        // biome-ignore lint/correctness/useYield: it is refused before there is anything to yield
        async *subscribe() {
          throw contractError({ code: Code.InvalidArgument, reason: "INVALID_FILTER", message: "bad filter" });
        },
      },
    });
    const subscription = scripted.session.subscribe();
    await expect(subscription.ready()).rejects.toMatchObject({ reason: "INVALID_FILTER" });
    await expect(subscription.next()).rejects.toThrow(InvalidRequestError);
    expect(await subscription.next()).toEqual({ done: true, value: undefined });
  });

  test("fails when the stream begins with something else", async () => {
    await using scripted = await connectScripted({
      signals: {
        async *subscribe() {
          yield batch(0, 1, [1]);
        },
      },
    });
    await expect(scripted.session.subscribe().next()).rejects.toMatchObject({ reason: "UNEXPECTED_RESPONSE" });
  });
});

describe("Subscription's end", () => {
  test("break out of for await cancels the stream", async () => {
    const left = createLatch();
    await using scripted = await connectScripted({ signals: { subscribe: twoSignals(left.open) } });
    for await (const signal of scripted.session.subscribe()) {
      expect(signal.sequence).toBe(1n);
      break;
    }
    await left.promise;
  });

  test("an exception out of for await cancels the stream", async () => {
    const left = createLatch();
    await using scripted = await connectScripted({ signals: { subscribe: twoSignals(left.open) } });
    const consume = async () => {
      for await (const signal of scripted.session.subscribe()) throw new Error(`cannot use ${signal.sequence}`);
    };
    await expect(consume()).rejects.toThrow("cannot use 1");
    await left.promise;
  });

  test.each<[string, (subscription: Subscription, session: CoordinationSession) => Promise<void>]>([
    ["close()", (subscription) => subscription.close()],
    ["its disposal", (subscription) => subscription[Symbol.asyncDispose]()],
    ["the session's disposal", (_, session) => session[Symbol.asyncDispose]()],
  ])("comes without an error by %s, also while a read waits", async (_, end) => {
    const left = createLatch();
    await using scripted = await connectScripted({ signals: { subscribe: twoSignals(left.open) } });
    const subscription = scripted.session.subscribe();
    await subscription.next();
    await subscription.next();
    const waiting = subscription.next();
    await end(subscription, scripted.session);
    expect(await waiting).toEqual({ done: true, value: undefined });
    await left.promise;
  });

  test("comes without an error by closing the client", async () => {
    const left = createLatch();
    await using scripted = await connectScripted({ signals: { subscribe: twoSignals(left.open) } });
    const read = sequencesOf(scripted.session.subscribe());
    await scripted.client.close();
    expect((await read).length).toBeLessThanOrEqual(2);
  });

  test("comes without an error by the AbortSignal, which it stops listening to", async () => {
    const left = createLatch();
    await using scripted = await connectScripted({ signals: { subscribe: twoSignals(left.open) } });
    const controller = new AbortController();
    const subscription = scripted.session.subscribe({ signal: controller.signal });
    const sequences: bigint[] = [];
    for await (const { sequence } of subscription) {
      sequences.push(sequence);
      controller.abort();
    }
    expect(sequences).toEqual([1n]);
    await left.promise;
    expect(getEventListeners(controller.signal, "abort")).toEqual([]);
  });

  test("comes at once when the AbortSignal was aborted before", async () => {
    await using scripted = await connectScripted({});
    const subscription = scripted.session.subscribe({ signal: AbortSignal.abort() });
    await expect(subscription.ready()).rejects.toThrow(CancelledError);
    expect(await sequencesOf(subscription)).toEqual([]);
  });

  test.each<[string, (session: CoordinationSession, signal?: AbortSignal) => Pick<Subscription, "ready" | "close">]>([
    ["a plain one", (session, signal) => session.subscribe({ signal })],
    ["a named one", (session, signal) => session.subscribe({ subscription: "tasks", signal })],
  ])("tells who waits for %s why its signal was aborted", async (_, subscribe) => {
    const asked = createLatch();
    await using scripted = await connectScripted({
      signals: {
        // biome-ignore lint/correctness/useYield: it never stands.
        async *subscribe(__, context) {
          asked.open();
          await clientLeft(context);
        },
      },
    });
    const cause = new Error("enough");
    const cancelled = { name: "CancelledError", reason: "CANCELLED", cause };
    const controller = new AbortController();
    const rejected = expect(subscribe(scripted.session, controller.signal).ready()).rejects.toMatchObject(cancelled);
    await asked.promise;
    controller.abort(cause);
    await rejected;
    await expect(subscribe(scripted.session, controller.signal).ready()).rejects.toMatchObject(cancelled);
    const closed = subscribe(scripted.session);
    const ended = expect(closed.ready()).rejects.toMatchObject({ reason: "CLIENT_CLOSED" });
    await closed.close();
    await ended;
  });

  test("keeps back the rest of a batch when it comes inside it", async () => {
    await using scripted = await connectScripted({ signals: { subscribe: twoSignals(() => undefined) } });
    const subscription = scripted.session.subscribe();
    await subscription.next();
    await subscription.close();
    expect(await subscription.next()).toEqual({ done: true, value: undefined });
    expect(subscription.cursor).toBe(`~1~${epoch}`);
  });
});

describe("Subscription's errors", () => {
  const failing = (error: Parameters<typeof contractError>[0], calls: SubscribeRequest[] = []): Script => ({
    signals: {
      async *subscribe(request) {
        calls.push(request);
        yield subscribed(9);
        throw contractError(error);
      },
    },
  });

  test("name the positions when the start is out of range", async () => {
    const metadata = { oldest_sequence: "5", head_sequence: "9", epoch: "e", resume_after_sequence: "4" };
    await using scripted = await connectScripted(
      failing({ code: Code.OutOfRange, reason: "CURSOR_EXPIRED", metadata }),
    );
    const subscription = scripted.session.subscribe({ from: { afterSequence: 1n } });
    const error = await subscription.next().catch((thrown: unknown) => thrown);
    expect(error).toBeInstanceOf(OutOfRangeError);
    expect(error).toMatchObject({
      reason: "CURSOR_EXPIRED",
      oldestSequence: 5n,
      headSequence: 9n,
      resumeAfterSequence: 4n,
      epoch: "e",
    });
  });

  test("are thrown without another stream when one cannot help", async () => {
    const calls: SubscribeRequest[] = [];
    await using scripted = await connectScripted(
      failing({ code: Code.NotFound, reason: "COORDINATION_NOT_FOUND" }, calls),
    );
    await expect(scripted.session.subscribe().next()).rejects.toThrow(NotFoundError);
    expect(calls).toHaveLength(1);
  });

  test("are thrown when the server is exhausted and names no time to come back", async () => {
    const calls: SubscribeRequest[] = [];
    const reason = "TOO_MANY_SUBSCRIPTIONS";
    await using scripted = await connectScripted(failing({ code: Code.ResourceExhausted, reason }, calls));
    await expect(scripted.session.subscribe().next()).rejects.toThrow(OverloadedError);
    expect(calls).toHaveLength(1);
  });

  test("of onStatus end the subscription and are thrown by the iteration", async () => {
    const left = createLatch();
    await using scripted = await connectScripted({ signals: { subscribe: twoSignals(left.open) } });
    const failure = new Error("cannot show the status");
    const onStatus = () => {
      throw failure;
    };
    await expect(scripted.session.subscribe({ onStatus }).next()).rejects.toBe(failure);
    await left.promise;
  });
});

describe("Subscription.status", () => {
  test("reports what happens until the end", async () => {
    await using scripted = await connectScripted({
      signals: {
        async *subscribe() {
          yield subscribed(2);
          yield batch(0, 1, [1]);
          yield checkpoint(1, 2);
          yield caughtUp(2);
        },
      },
    });
    const called: SubscriptionStatus[] = [];
    const subscription = scripted.session.subscribe({ onStatus: (status) => called.push(status) });
    const read = collect(subscription.status());
    await sequencesOf(subscription);
    expect(called).toEqual([
      { type: "connected", epoch, headSequence: 2n, resumed: false },
      { type: "checkpoint", throughSequence: 2n, cursor: cursorAt(2) },
      { type: "caughtUp", throughSequence: 2n, cursor: cursorAt(2) },
      { type: "closed", error: undefined },
    ]);
    expect(await read).toEqual(called);
  });

  test("names the error that ended the subscription", async () => {
    await using scripted = await connectScripted({
      signals: {
        async *subscribe() {
          yield subscribed(2);
          throw contractError({ code: Code.NotFound, reason: "COORDINATION_NOT_FOUND" });
        },
      },
    });
    const subscription = scripted.session.subscribe();
    const read = collect(subscription.status());
    await expect(subscription.next()).rejects.toThrow(NotFoundError);
    expect((await read).at(-1)).toMatchObject({ type: "closed", error: { reason: "COORDINATION_NOT_FOUND" } });
  });
});
