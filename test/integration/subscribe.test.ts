import { durationFromMs, timestampFromMs, timestampMs } from "@bufbuild/protobuf/wkt";
import { Priority, SignalType } from "@coordination-signals/proto/coordination/v1/signal";
import { DeliveryOrder, StartPosition } from "@coordination-signals/proto/coordination/v1/signal_service";
import { afterAll, beforeAll, describe, expect, test } from "@jest/globals";
import { refusalFrom } from "../support/refusal.js";
import { newCoordinationId, note, notes, type SignalInit } from "../support/sample-signals.js";
import { protocols, type TestClient } from "../support/test-client.js";
import { startTestServer, type TestServer } from "../support/test-server.js";
import { checkRangesJoin, openSubscription, type TestSubscription } from "../support/test-subscription.js";

const earliest = { case: "position", value: StartPosition.EARLIEST } as const;

describe.each(protocols)("Subscribe by $name", ({ connect }) => {
  let server: TestServer;
  let client: TestClient;
  beforeAll(async () => {
    server = await startTestServer(["--max-history-signals", "100"]);
    client = connect(server.url);
  });
  afterAll(async () => {
    client.disconnect();
    await server[Symbol.asyncDispose]();
  });

  const send = (...requests: readonly SignalInit[]) => client.signals.batchSendSignals({ requests: [...requests] });
  const open = (request: Parameters<typeof openSubscription>[1]) => openSubscription(client.signals, request);

  /** What is delivered up to the next CaughtUp. */
  const deliveredTo = async (request: Parameters<typeof openSubscription>[1]): Promise<readonly string[]> => {
    using subscription = open(request);
    await subscription.until("caughtUp");
    checkRangesJoin(subscription.items);
    return messagesOf(subscription);
  };

  test("answers Subscribed at once, then history, CaughtUp, and what comes live, in order and without a gap", async () => {
    const coordinationId = newCoordinationId();
    await send(...notes(coordinationId, 10));
    using subscription = open({ coordinationId, start: earliest });
    const first = await subscription.next();
    if (first.case !== "subscribed") throw new Error(`the first item is ${first.case}`);
    expect(first.value).toMatchObject({ headSequence: 10n, epoch: expect.stringMatching(/^[0-9a-f-]{36}$/) });
    expect((await subscription.until("caughtUp")).value.throughSequence).toBe(10n);
    await send(...notes(coordinationId, 5, { metadata: { live: "yes" } }));
    await subscription.untilSignals(15);
    expect(subscription.signals.map(({ sequence }) => sequence)).toEqual(sequences(1, 15));
    checkRangesJoin(subscription.items);
  });

  test.each([
    ["SEQUENCE", DeliveryOrder.SEQUENCE],
    ["PRIORITY", DeliveryOrder.PRIORITY],
  ])(
    "goes on in order %s where more than the history holds has passed a reader by that none of it concerns",
    async (_, order) => {
      const coordinationId = newCoordinationId();
      await send(...notes(coordinationId, 2));
      using ofType = open({ coordinationId, order, filter: { signalTypes: [SignalType.AGENT_COMPLETED] } });
      using ofAgent = open({ coordinationId, order, agentId: "1" });
      await Promise.all([ofType.until("caughtUp"), ofAgent.until("caughtUp")]);
      const others = { senderAgentId: "sender", recipientAgentIds: ["sender"] };
      for (let round = 0; round < 3; round += 1) await send(...notes(coordinationId, 90, others));
      await send({ coordinationId, senderAgentId: "sender", event: { case: "agentCompleted", value: {} } });
      for (const subscription of [ofType, ofAgent]) {
        await subscription.untilSignals(1);
        expect(subscription.signals.map(({ sequence }) => sequence)).toEqual([273n]);
        checkRangesJoin(subscription.items);
      }
    },
  );

  test("starts at the latest by default", async () => {
    const coordinationId = newCoordinationId();
    await send(...notes(coordinationId, 3));
    using subscription = open({ coordinationId });
    await subscription.until("caughtUp");
    await send(note(coordinationId, "live"));
    await subscription.untilSignals(1);
    expect(messagesOf(subscription)).toEqual(["live"]);
  });

  test("starts after a sequence, at a time, and at any cursor", async () => {
    const coordinationId = newCoordinationId();
    await send(...notes(coordinationId, 4));
    using whole = open({ coordinationId, start: earliest });
    const { value: batch } = await whole.until("batch");
    const third = whole.signals[2]?.timestamp;
    if (third === undefined) throw new Error("the third signal has no time");
    const later = timestampFromMs(timestampMs(third) + 60_000);
    expect(await deliveredTo({ coordinationId, start: { case: "afterSequence", value: 2n } })).toEqual(["3", "4"]);
    expect(await deliveredTo({ coordinationId, start: { case: "afterSequence", value: 0n } })).toHaveLength(4);
    expect(await deliveredTo({ coordinationId, start: { case: "cursor", value: batch.cursor } })).toEqual([]);
    expect(await deliveredTo({ coordinationId, start: { case: "startTime", value: later } })).toEqual([]);
    expect(await deliveredTo({ coordinationId, start: { case: "startTime", value: third } })).toContain("3");
  });

  test("resumes at each cursor with what follows it, none lost and none twice", async () => {
    const coordinationId = newCoordinationId();
    using live = open({ coordinationId, agentId: "reader" });
    await live.until("subscribed");
    for (let sent = 1; sent <= 5; sent += 1) {
      await send(note(coordinationId, String(sent)));
      await live.untilSignals(sent);
    }
    for (const item of live.items) {
      if (item.case === "subscribed" || item.case === undefined) continue;
      const through = item.value.throughSequence;
      const rest = await deliveredTo({
        coordinationId,
        agentId: "reader",
        start: { case: "cursor", value: item.value.cursor },
      });
      expect(rest).toEqual(sequences(Number(through) + 1, 5).map(String));
    }
  });

  test("refuses a cursor or sequence that is ahead, gone, of another log, damaged or no cursor", async () => {
    const coordinationId = newCoordinationId();
    using before = open({ coordinationId });
    const { value: beginning } = await before.until("subscribed");
    await send(note(coordinationId));
    const { value: batch } = await before.until("batch");
    before.cancel();
    await send(...notes(coordinationId, 149));
    const positions = { head_sequence: "150", oldest_sequence: "51" };
    const refusal = async (start: Parameters<typeof openSubscription>[1]["start"] & object) => {
      using subscription = open({ coordinationId, start });
      return refusalFrom(await subscription.untilEnd());
    };
    expect(await refusal({ case: "afterSequence", value: 151n })).toMatchObject({
      code: "OutOfRange",
      reason: "CURSOR_AHEAD",
      metadata: positions,
    });
    for (const start of [
      { case: "afterSequence", value: 49n },
      { case: "cursor", value: beginning.cursor },
    ] as const) {
      const refused = await refusal(start);
      expect(refused).toMatchObject({ code: "OutOfRange", reason: "CURSOR_EXPIRED", metadata: positions });
    }
    const other = newCoordinationId();
    await send(note(other));
    using elsewhere = open({ coordinationId: other, start: { case: "cursor", value: batch.cursor } });
    expect(refusalFrom(await elsewhere.untilEnd())).toMatchObject({
      code: "OutOfRange",
      reason: "EPOCH_CHANGED",
      metadata: { head_sequence: "1" },
    });
    for (const value of ["x", `${batch.cursor}A`, batch.cursor.slice(0, -1), `${batch.cursor.slice(0, -2)}zz`]) {
      expect(await refusal({ case: "cursor", value })).toMatchObject({
        code: "InvalidArgument",
        reason: "INVALID_CURSOR",
      });
    }
    expect(await refusal({ case: "cursor", value: "" })).toMatchObject({
      reason: "INVALID_CURSOR",
      violatedFields: ["cursor"],
    });
    expect(await deliveredTo({ coordinationId, start: { case: "afterSequence", value: 50n } })).toHaveLength(100);
  });

  test("waits for a coordination that does not exist, creates nothing, and delivers it from its first signal", async () => {
    const coordinationId = newCoordinationId();
    using subscription = open({ coordinationId });
    expect((await subscription.until("subscribed")).value).toMatchObject({ epoch: "", headSequence: 0n });
    const { coordinations } = await client.coordinations.listCoordinations({ pageSize: 1000 });
    expect(coordinations.map((coordination) => coordination.coordinationId)).not.toContain(coordinationId);
    await send(note(coordinationId, "first"));
    const { value: begun } = await subscription.until("subscribed");
    expect(begun.epoch).toMatch(/^[0-9a-f-]{36}$/);
    await subscription.untilSignals(1);
    expect(messagesOf(subscription)).toEqual(["first"]);
    using ahead = open({ coordinationId: newCoordinationId(), start: { case: "afterSequence", value: 1n } });
    expect(refusalFrom(await ahead.untilEnd())).toMatchObject({ code: "OutOfRange", reason: "CURSOR_AHEAD" });
  });

  test("gives an agent broadcasts and what names it, its own only on request, and an observer everything", async () => {
    const coordinationId = newCoordinationId();
    for (const agentId of ["a", "b"]) await client.agents.registerAgent({ coordinationId, agentId });
    await send(
      note(coordinationId, "to all", { senderAgentId: "b" }),
      note(coordinationId, "to a", { senderAgentId: "b", recipientAgentIds: ["a"] }),
      note(coordinationId, "to b", { senderAgentId: "a", recipientAgentIds: ["b"] }),
      note(coordinationId, "own", { senderAgentId: "a" }),
      note(coordinationId, "to self", { senderAgentId: "a", recipientAgentIds: ["a"] }),
    );
    const to = (agentId: string, includeOwn = false) =>
      deliveredTo({ coordinationId, agentId, includeOwn, start: earliest });
    expect(await to("a")).toEqual(["to all", "to a", "to self"]);
    expect(await to("a", true)).toEqual(["to all", "to a", "to b", "own", "to self"]);
    expect(await to("b")).toEqual(["to b", "own"]);
    expect(await to("c")).toEqual(["to all", "own"]);
    expect(await to("")).toHaveLength(5);
  });

  test("filters by type, sender, priority, metadata and expression, all of which must match", async () => {
    const coordinationId = newCoordinationId();
    await send(
      note(coordinationId, "1", { senderAgentId: "model-gen", priority: Priority.HIGH, metadata: { stage: "one" } }),
      note(coordinationId, "2", { senderAgentId: "model-gen", priority: Priority.LOW, metadata: { stage: "one" } }),
      note(coordinationId, "3", { senderAgentId: "test-gen", metadata: { stage: "two" } }),
      note(coordinationId, "4", { senderAgentId: "runner", priority: Priority.CONTROL }),
      { coordinationId, senderAgentId: "model-gen", event: { case: "agentCompleted", value: { qualityScore: 0.5 } } },
    );
    const matching = async (filter: Parameters<typeof openSubscription>[1]["filter"]) => {
      using subscription = open({ coordinationId, filter, start: earliest });
      await subscription.until("caughtUp");
      checkRangesJoin(subscription.items);
      return subscription.signals.map(({ sequence }) => Number(sequence));
    };
    expect(await matching({})).toEqual([1, 2, 3, 4, 5]);
    expect(await matching({ signalTypes: [SignalType.AGENT_COMPLETED] })).toEqual([5]);
    expect(await matching({ senderAgentIds: ["*-gen"] })).toEqual([1, 2, 3, 5]);
    expect(await matching({ senderAgentIds: ["runner", "t??t-*"] })).toEqual([3, 4]);
    expect(await matching({ minPriority: Priority.NORMAL })).toEqual([1, 3, 4, 5]);
    expect(await matching({ metadata: { stage: "one" } })).toEqual([1, 2]);
    expect(await matching({ metadata: { stage: "one" }, minPriority: Priority.HIGH })).toEqual([1]);
    expect(await matching({ expression: "signal.agent_completed.quality_score > 0.4" })).toEqual([5]);
    expect(await matching({ senderAgentIds: ["nobody"] })).toEqual([]);
  });

  test.each([
    ["a type that does not exist", { signalTypes: [99 as SignalType] }],
    ["the type that means none", { signalTypes: [SignalType.UNSPECIFIED] }],
    ["a priority that does not exist", { minPriority: 9 as Priority }],
    ["an expression that is none", { expression: "signal." }],
    ["an expression that names what does not exist", { expression: "signal.no_such_field == 1" }],
    ["a sender with a blank", { senderAgentIds: ["a b"] }],
  ])("refuses a filter with %s", async (_name, filter) => {
    using subscription = open({ coordinationId: newCoordinationId(), filter });
    expect(refusalFrom(await subscription.untilEnd())).toMatchObject({
      code: "InvalidArgument",
      reason: "INVALID_FILTER",
      domain: "coordination.v1",
    });
  });

  test("ends well when everything before before_time was seen", async () => {
    const coordinationId = newCoordinationId();
    await send(...notes(coordinationId, 3));
    const beforeTime = timestampFromMs(Date.now() + 60);
    using subscription = open({ coordinationId, filter: { beforeTime }, start: earliest });
    expect(await subscription.untilEnd()).toBeUndefined();
    expect(subscription.signals).toHaveLength(3);
    checkRangesJoin(subscription.items);
  });

  test("reports its position while idle, past what did not concern it", async () => {
    const coordinationId = newCoordinationId();
    await client.agents.registerAgent({ coordinationId, agentId: "other" });
    const checkpointInterval = durationFromMs(100);
    using subscription = open({ coordinationId, agentId: "reader", checkpointInterval, start: earliest });
    await subscription.until("caughtUp");
    await send(...notes(coordinationId, 7, { recipientAgentIds: ["other"] }));
    let through = 0n;
    while (through < 7n) through = (await subscription.until("checkpoint")).value.throughSequence;
    expect(subscription.signals).toEqual([]);
    checkRangesJoin(subscription.items);
  });

  test("ends at its deadline with DEADLINE_EXCEEDED", async () => {
    using subscription = openSubscription(client.signals, { coordinationId: newCoordinationId() }, { timeoutMs: 100 });
    expect(refusalFrom(await subscription.untilEnd())).toMatchObject({ code: "DeadlineExceeded" });
  });

  test("ends with UNAVAILABLE and a last checkpoint when the server stops", async () => {
    await using stopping = await startTestServer();
    using other = connect(stopping.url);
    const coordinationId = newCoordinationId();
    await other.signals.batchSendSignals({ requests: notes(coordinationId, 3) });
    const filter = { senderAgentIds: ["nobody"] };
    using subscription = openSubscription(other.signals, { coordinationId, filter, start: earliest });
    await subscription.until("caughtUp");
    const stopped = stopping.stop();
    expect(refusalFrom(await subscription.untilEnd())).toMatchObject({
      code: "Unavailable",
      reason: "SHUTTING_DOWN",
      retryDelayMs: 100,
    });
    expect(subscription.items.at(-1)).toMatchObject({ case: "checkpoint", value: { throughSequence: 3n } });
    checkRangesJoin(subscription.items);
    other.disconnect();
    await stopped;
  });
});

function messagesOf({ signals }: TestSubscription): readonly string[] {
  return signals.map(({ event }) => (event.case === "interAgentMessage" ? event.value.message : ""));
}

function sequences(first: number, last: number): readonly bigint[] {
  return Array.from({ length: Math.max(0, last - first + 1) }, (_, index) => BigInt(first + index));
}
