import { Code } from "@connectrpc/connect";
import type { SubscribeRequest } from "@coordination-signals/proto/coordination/v1/signal_service";
import { describe, expect, test } from "@jest/globals";
import {
  createCoordinationClient,
  InternalError,
  InvalidRequestError,
  OutOfRangeError,
  type Protocol,
  SequenceGapError,
  type SubscriptionStatus,
  UnavailableError,
} from "../../../client-sdk/src/index.js";
import { contractError } from "./support/contract-errors.js";
import { createLatch } from "./support/latch.js";
import { ManualClock } from "./support/manual-clock.js";
import { connectScripted, fastRetry } from "./support/scripted-client.js";
import { batch, caughtUp, checkpoint, cursorAt, epoch, subscribed } from "./support/scripted-log.js";
import { clientLeft, type Script, startScriptedServer } from "./support/scripted-server.js";

type Subscribe = NonNullable<NonNullable<Script["signals"]>["subscribe"]>;
type Item = ReturnType<typeof batch>;

/** Streams that send their items one stream after the other; each but the last then breaks as told, the last one ends. */
function streams(
  items: readonly (readonly Item[])[],
  breakStream: () => void,
  starts: SubscribeRequest["start"][] = [],
) {
  const subscribe: Subscribe = async function* (request, context) {
    const number = starts.push(request.start);
    yield* items[number - 1] ?? [];
    if (number === items.length) return;
    breakStream();
    await clientLeft(context);
  };
  return { signals: { subscribe } };
}

const throwUnavailable = () => {
  throw contractError({ code: Code.Unavailable, reason: "SHUTTING_DOWN" });
};

async function sequencesOf(signals: AsyncIterable<{ readonly sequence: bigint }>): Promise<readonly bigint[]> {
  const sequences: bigint[] = [];
  for await (const { sequence } of signals) sequences.push(sequence);
  return sequences;
}

describe("Subscription over several streams", () => {
  test.each<Protocol>(["grpc", "grpc-web", "connect"])(
    "resumes by cursor after a cut connection over %s",
    async (protocol) => {
      const starts: SubscribeRequest["start"][] = [];
      let cut: () => void = () => undefined;
      const items = [
        [subscribed(2), batch(0, 2, [1, 2])],
        [subscribed(4, cursorAt(2)), batch(2, 4, [3, 4])],
      ];
      await using scripted = await connectScripted(
        streams(items, () => setImmediate(() => cut()), starts),
        { protocol },
      );
      cut = () => scripted.server.cut();
      expect(await sequencesOf(scripted.session.subscribe({ from: "earliest" }))).toEqual([1n, 2n, 3n, 4n]);
      expect(starts).toMatchObject([{ case: "position" }, { case: "cursor", value: cursorAt(2) }]);
    },
  );

  test("resumes when the server has restarted", async () => {
    const first = await startScriptedServer(streams([[subscribed(2), batch(0, 2, [1, 2])], []], () => undefined));
    await using client = createCoordinationClient({ baseUrl: first.url, retry: fastRetry });
    const subscription = client.coordination("c").subscribe({ from: "earliest" });
    const before = [await subscription.next(), await subscription.next()];
    const read = subscription.next();
    await first.stop();
    await using _second = await startScriptedServer(
      streams([[subscribed(3, cursorAt(2)), batch(2, 3, [3])]], () => undefined),
      {
        port: first.port,
      },
    );
    expect([...before, await read].map(({ value }) => value?.sequence)).toEqual([1n, 2n, 3n]);
    await client.close();
  });

  test.each<[string, Item, SubscribeRequest["start"]]>([
    ["the start the server named", subscribed(5, cursorAt(5)), { case: "cursor", value: cursorAt(5) }],
    ["a checkpoint", checkpoint(5, 6), { case: "cursor", value: cursorAt(6) }],
    ["where it had caught up", caughtUp(7), { case: "cursor", value: cursorAt(7) }],
    ["a batch without signals", batch(5, 8, []), { case: "cursor", value: cursorAt(8) }],
  ])("resumes at %s", async (_, item, expected) => {
    const starts: SubscribeRequest["start"][] = [];
    const items = [[subscribed(5, cursorAt(5)), item].slice(item.item?.case === "subscribed" ? 1 : 0), [subscribed(9)]];
    await using scripted = await connectScripted(streams(items, throwUnavailable, starts));
    expect(await sequencesOf(scripted.session.subscribe())).toEqual([]);
    expect(starts[1]).toEqual(expected);
  });

  test("starts anew where it was told to when the first stream never stood", async () => {
    const starts: SubscribeRequest["start"][] = [];
    await using scripted = await connectScripted(streams([[], [subscribed(9)]], throwUnavailable, starts));
    await sequencesOf(scripted.session.subscribe({ from: { time: new Date(5_000) } }));
    expect(starts).toMatchObject([
      { case: "startTime", value: { seconds: 5n } },
      { case: "startTime", value: { seconds: 5n } },
    ]);
  });

  test("comes back when an exhausted server names a time to do so", async () => {
    const reason = "TOO_MANY_SUBSCRIPTIONS";
    const exhausted = () => {
      throw contractError({ code: Code.ResourceExhausted, reason, retryDelayMs: 1 });
    };
    await using scripted = await connectScripted(streams([[], [subscribed(1), batch(0, 1, [1])]], exhausted));
    expect(await sequencesOf(scripted.session.subscribe())).toEqual([1n]);
  });

  test("reports the loss, and that it resumed", async () => {
    const items = [
      [subscribed(1), batch(0, 1, [1])],
      [subscribed(1, cursorAt(1)), caughtUp(1)],
    ];
    await using scripted = await connectScripted(streams(items, throwUnavailable));
    const statuses: SubscriptionStatus[] = [];
    await sequencesOf(scripted.session.subscribe({ onStatus: (status) => statuses.push(status) }));
    expect(statuses).toMatchObject([
      { type: "connected", resumed: false },
      { type: "reconnecting", attempt: 1, error: { reason: "SHUTTING_DOWN" } },
      { type: "connected", resumed: true },
      { type: "caughtUp" },
      { type: "closed" },
    ]);
  });

  test("does not hand out what a stream that was cut had not completed", async () => {
    const resumedAt = createLatch<SubscribeRequest["start"]>();
    let calls = 0;
    await using scripted = await connectScripted({
      signals: {
        async *subscribe(request) {
          calls += 1;
          yield subscribed(3);
          if (calls === 1) {
            yield batch(0, 3, [1, 2, 3]);
            throwUnavailable();
          }
          resumedAt.open(request.start);
        },
      },
    });
    expect(await sequencesOf(scripted.session.subscribe({ from: "earliest" }))).toEqual([1n, 2n, 3n]);
    expect(await resumedAt.promise).toEqual({ case: "cursor", value: cursorAt(3) });
  });
});

describe("Subscription.cursor", () => {
  test("inside a batch resumes after the last signal handed out", async () => {
    const starts: SubscribeRequest["start"][] = [];
    const items = [
      [subscribed(3), batch(0, 3, [1, 2, 3])],
      [subscribed(3), batch(2, 3, [3])],
    ];
    await using scripted = await connectScripted(streams(items, () => undefined, starts));
    const first = scripted.session.subscribe({ from: "earliest" });
    await first.next();
    await first.next();
    const { cursor = "" } = first;
    await first.close();
    expect(cursor).toBe(`~2~${epoch}`);
    const second = scripted.session.subscribe({ from: { cursor } });
    expect(second.cursor).toBe(cursor);
    expect(await sequencesOf(second)).toEqual([3n]);
    expect(starts[1]).toEqual({ case: "afterSequence", value: 2n });
    expect(second.cursor).toBe(cursorAt(3));
  });

  test("inside a batch is of no use in another log", async () => {
    await using scripted = await connectScripted(streams([[subscribed(1, cursorAt(0), "another")]], () => undefined));
    const read = scripted.session.subscribe({ from: { cursor: `~2~${epoch}` } }).next();
    await expect(read).rejects.toThrow(OutOfRangeError);
    await expect(read).rejects.toMatchObject({ reason: "EPOCH_CHANGED", epoch: "another", resumeAfterSequence: 0n });
  });

  test("of the server is passed on as it is", async () => {
    const starts: SubscribeRequest["start"][] = [];
    await using scripted = await connectScripted(streams([[subscribed(9, cursorAt(4))]], () => undefined, starts));
    const subscription = scripted.session.subscribe({ from: { cursor: cursorAt(4) } });
    await sequencesOf(subscription);
    expect(starts).toEqual([{ case: "cursor", value: cursorAt(4) }]);
    expect(subscription.cursor).toBe(cursorAt(4));
  });
});

describe("Subscription's check for gaps", () => {
  const twoStreams = (...items: readonly (readonly Item[])[]) => streams(items, throwUnavailable);

  test.each<[string, Script]>([
    ["between two batches", streams([[subscribed(9), batch(0, 2, [1, 2]), batch(3, 4, [4])]], () => undefined)],
    ["before a checkpoint", streams([[subscribed(9), batch(0, 2, [1, 2]), checkpoint(3, 4)]], () => undefined)],
    ["behind what was seen", streams([[subscribed(9), batch(0, 2, [1, 2]), batch(1, 3, [2, 3])]], () => undefined)],
    ["behind the caught-up position", streams([[subscribed(9), batch(0, 2, [1, 2]), caughtUp(1)]], () => undefined)],
    ["across two streams", twoStreams([subscribed(9), batch(0, 2, [1, 2])], [subscribed(9), batch(3, 4, [4])])],
    ["after a stream that had caught up", twoStreams([subscribed(9), caughtUp(5)], [subscribed(9), batch(6, 7, [7])])],
  ])("throws for one %s and hands out nothing more", async (_, script) => {
    await using scripted = await connectScripted(script);
    const subscription = scripted.session.subscribe({ from: "earliest" });
    const read = sequencesOf(subscription);
    await expect(read).rejects.toThrow(SequenceGapError);
    expect(await subscription.next()).toEqual({ done: true, value: undefined });
  });

  test("throws when the first range does not begin where it was asked to", async () => {
    await using scripted = await connectScripted(streams([[subscribed(9), batch(6, 7, [7])]], () => undefined));
    const read = scripted.session.subscribe({ from: { afterSequence: 5n } }).next();
    await expect(read).rejects.toMatchObject({
      expectedAfterSequence: 5n,
      actualAfterSequence: 6n,
      reason: "SEQUENCE_GAP",
    });
  });

  test.each<[string, Item]>([
    ["twice", batch(0, 3, [1, 1])],
    ["in the wrong order", batch(0, 3, [2, 1])],
    ["outside the range", batch(0, 3, [4])],
    ["in a range that runs backwards", batch(3, 0, [])],
  ])("throws for signals %s", async (_, item) => {
    await using scripted = await connectScripted(streams([[subscribed(9), item]], () => undefined));
    await expect(scripted.session.subscribe({ from: "earliest" }).next()).rejects.toThrow(InternalError);
  });

  test("lets a range begin where the one before ended or where the server had caught up", async () => {
    const items = [
      subscribed(9),
      batch(0, 2, [1, 2]),
      caughtUp(5),
      batch(5, 6, [6]),
      caughtUp(6),
      checkpoint(6, 6),
      batch(6, 7, [7]),
    ];
    await using scripted = await connectScripted(streams([items], () => undefined));
    expect(await sequencesOf(scripted.session.subscribe({ from: "earliest" }))).toEqual([1n, 2n, 6n, 7n]);
  });
});

describe("Subscription to a coordination that does not exist yet", () => {
  test("gets everything from the first signal, also when the stream is cut before", async () => {
    const starts: SubscribeRequest["start"][] = [];
    const items = [
      [subscribed(0, cursorAt(0), "")],
      [subscribed(0, cursorAt(0), ""), subscribed(2, "beginning"), batch(0, 1, [1])],
      [subscribed(2, cursorAt(1)), batch(1, 2, [2])],
    ];
    await using scripted = await connectScripted(streams(items, throwUnavailable, starts));
    expect(await sequencesOf(scripted.session.subscribe())).toEqual([1n, 2n]);
    expect(starts.slice(1)).toEqual([
      { case: "cursor", value: cursorAt(0) },
      { case: "cursor", value: cursorAt(1) },
    ]);
  });

  test("throws when its first signals are missing", async () => {
    const items = [subscribed(0, cursorAt(0), ""), subscribed(3, cursorAt(2)), batch(2, 3, [3])];
    await using scripted = await connectScripted(streams([items], () => undefined));
    await expect(scripted.session.subscribe().next()).rejects.toThrow(SequenceGapError);
  });

  test("throws when it is another one all of a sudden", async () => {
    await using scripted = await connectScripted(
      streams([[subscribed(3), subscribed(3, cursorAt(0), "another")]], () => undefined),
    );
    await expect(scripted.session.subscribe().next()).rejects.toMatchObject({ reason: "EPOCH_CHANGED" });
  });
});

describe("Subscription's timers", () => {
  const silent: Subscribe = async function* (_, context) {
    yield subscribed(0);
    await clientLeft(context);
  };

  test("take three checkpoint intervals of silence for a dead connection", async () => {
    const clock = new ManualClock();
    const cancelled = createLatch();
    let calls = 0;
    const subscribe: Subscribe = async function* (_, context) {
      calls += 1;
      yield subscribed(0);
      if (calls > 1) return;
      await clientLeft(context);
      cancelled.open();
    };
    await using scripted = await connectScripted({ signals: { subscribe } }, { clock });
    const statuses: SubscriptionStatus[] = [];
    const subscription = scripted.session.subscribe({
      checkpointIntervalMs: 1_000,
      onStatus: (status) => statuses.push(status),
    });
    await subscription.ready();
    const read = subscription.next();
    await clock.timerStarted(3_000);
    clock.advance(2_999);
    expect(statuses).toHaveLength(1);
    clock.advance(1);
    await clock.timerStarted(0.5);
    clock.advance(1);
    expect(await read).toEqual({ done: true, value: undefined });
    await cancelled.promise;
    expect(statuses[1]).toMatchObject({ type: "reconnecting", error: { reason: "CONNECTION_LOST" } });
  });

  test("report idleness again and again, and go on", async () => {
    const clock = new ManualClock();
    const live = createLatch();
    const subscribe: Subscribe = async function* () {
      yield subscribed(0);
      await live.promise;
      yield batch(0, 1, [1]);
    };
    await using scripted = await connectScripted({ signals: { subscribe } }, { clock });
    const idle: number[] = [];
    const subscription = scripted.session.subscribe({
      idleTimeoutMs: 1_000,
      onStatus: (status) => {
        if (status.type === "idle") idle.push(status.idleMs);
      },
    });
    await subscription.ready();
    const read = subscription.next();
    await clock.timerStarted(1_000);
    clock.advance(2_500);
    live.open();
    expect((await read).value?.sequence).toBe(1n);
    clock.advance(5_000);
    expect(idle).toEqual([1_000, 2_000]);
  });

  test("give up a server that does not come back", async () => {
    const clock = new ManualClock();
    await using scripted = await connectScripted(failing({ code: Code.Unavailable, reason: "SHUTTING_DOWN" }), {
      clock,
    });
    const subscription = scripted.session.subscribe({ reconnectTimeoutMs: 2 });
    const read = subscription.next();
    const failed = expect(read).rejects.toThrow(UnavailableError);
    for (const delayMs of [0.5, 1]) {
      await clock.timerStarted(delayMs);
      clock.advance(delayMs);
    }
    await failed;
  });

  test("leave nothing running when it is read after it failed", async () => {
    const clock = new ManualClock();
    const script = failing({ code: Code.InvalidArgument, reason: "INVALID_FILTER" });
    await using scripted = await connectScripted(script, { clock });
    const subscription = scripted.session.subscribe({ idleTimeoutMs: 1_000 });
    await expect(subscription.ready()).rejects.toThrow(InvalidRequestError);
    await expect(subscription.next()).rejects.toThrow(InvalidRequestError);
    expect(clock.delaysMs()).toEqual([]);
  });

  test("wait longer each time for a server that accepts streams and then fails them", async () => {
    const clock = new ManualClock();
    const subscribe: Subscribe = async function* () {
      yield subscribed(0);
      throw contractError({ code: Code.Unavailable, reason: "STORE_UNAVAILABLE" });
    };
    await using scripted = await connectScripted({ signals: { subscribe } }, { clock, retry: {} });
    const subscription = scripted.session.subscribe();
    const read = subscription.next();
    for (const delayMs of [50, 100, 200]) {
      await clock.timerStarted(delayMs);
      clock.advance(delayMs);
    }
    await clock.timerStarted(400);
    await subscription.close();
    expect(await read).toEqual({ done: true, value: undefined });
  });

  test("are all stopped at the end", async () => {
    const clock = new ManualClock();
    await using scripted = await connectScripted({ signals: { subscribe: silent } }, { clock });
    const subscription = scripted.session.subscribe({ idleTimeoutMs: 1_000 });
    await subscription.ready();
    const read = subscription.next();
    await clock.timerStarted(15_000);
    expect(clock.delaysMs()).toEqual([1_000, 15_000]);
    await subscription.close();
    await read;
    expect(clock.delaysMs()).toEqual([]);
  });
});

/** A server that refuses every stream. */
function failing(error: Parameters<typeof contractError>[0]): Script {
  return {
    signals: {
      // biome-ignore lint/correctness/useYield: it fails before there is anything to yield
      async *subscribe() {
        throw contractError(error);
      },
    },
  };
}
