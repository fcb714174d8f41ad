// Expressions that are just not too dear, asked about many signals: they must not keep everybody else from running. What they take in
// a row is counted in steps, which are the same on every machine.
import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { durationFromMs } from "@bufbuild/protobuf/wkt";
import type { CoordinationSignal } from "@coordination-signals/proto/coordination/v1/signal";
import { DeliveryOrder, HistoryOrder, StartPosition } from "@coordination-signals/proto/coordination/v1/signal_service";
import { describe, expect, test } from "@jest/globals";
import { maxExpressionSteps, maxReadTurns, maxTurnSteps } from "../../server/src/model/limits.js";
import { watchEvaluationSteps } from "../support/evaluation-steps.js";
import { refusalFrom, refusalOf } from "../support/refusal.js";
import { settle } from "../support/settle.js";
import { temporaryDirectory } from "../support/temporary-directory.js";
import { grpc, type TestClient } from "../support/test-client.js";
import { startTestServer } from "../support/test-server.js";
import { openSubscription } from "../support/test-subscription.js";
import { coordinationId, openConsumer, policyOf } from "../support/work-subscription.js";

const earliest = { case: "position", value: StartPosition.EARLIEST } as const;
const signalCount = 24;
const items = "signal.inter_agent_message.payload.items";
// As many steps as the list's length squared.
const dear = `${items}.all(x, x in ${items})`;
const dearItems = 260;
const tooDearItems = 3_000;
const filter = { expression: dear };
const never = { expression: `!(${dear})` };
const set = (value: string) => ({ path: "message", action: { case: "set" as const, value } });
const transform = { fields: [set(`string(${dear})`)] };
/** Two turns and their last evaluations; see `mostInARow`. */
const mostInARow = 2 * (maxTurnSteps + maxExpressionSteps);

/** Sends signals whose lists are so long, in one batch. */
async function send({ signals }: TestClient, itemCounts: readonly number[]): Promise<void> {
  const requests = itemCounts.map((length) => ({
    coordinationId,
    senderAgentId: "sender",
    event: {
      case: "interAgentMessage" as const,
      value: { payload: { items: Array.from({ length }, (_, index) => index) } },
    },
  }));
  await signals.batchSendSignals({ requests });
}

const sendMany = (client: TestClient) => send(client, Array<number>(signalCount).fill(dearItems));

/** The sequences of all pages of history, page by page. */
async function historyPages({ signals }: TestClient, order: HistoryOrder) {
  const pages: number[][] = [];
  for (let pageToken = ""; pages.length === 0 || pageToken !== ""; ) {
    const page = await signals.getSignalHistory({ coordinationId, filter, order, pageSize: 1_000, pageToken });
    pages.push(sequencesOf(page.signals));
    pageToken = page.nextPageToken;
  }
  return pages;
}

async function subscribed({ signals }: TestClient, parts: object): Promise<readonly CoordinationSignal[]> {
  using subscription = openSubscription(signals, { coordinationId, start: earliest, ...parts });
  return [...(await subscription.untilSignals(signalCount))];
}

async function replayed({ signals }: TestClient, parts: object): Promise<readonly CoordinationSignal[]> {
  const all: CoordinationSignal[] = [];
  for await (const part of signals.replaySignals({ coordinationId, ...parts })) all.push(...part.signals);
  return all;
}

const sequencesOf = (signals: readonly CoordinationSignal[]) => signals.map(({ sequence }) => Number(sequence));
const everySequence = Array.from({ length: signalCount }, (_, index) => index + 1);
const { OLDEST_FIRST, NEWEST_FIRST } = HistoryOrder;

describe("dear expressions over many signals let everybody else run in between", () => {
  const waysToAll: readonly (readonly [name: string, read: (client: TestClient) => Promise<readonly number[]>])[] = [
    ["a subscription's filter", async (client) => sequencesOf(await subscribed(client, { filter }))],
    ["a subscription's transform", async (client) => sequencesOf(await subscribed(client, { transform }))],
    [
      "a subscription's filter in order of priority",
      async (client) => sequencesOf(await subscribed(client, { filter, order: DeliveryOrder.PRIORITY })),
    ],
    [
      "a named subscription's filter",
      async (client) => {
        using consumer = openConsumer(client, {}, { filter });
        return sequencesOf(await consumer.untilSignals(signalCount));
      },
    ],
    [
      "a named subscription's filter in order of priority",
      async (client) => {
        using consumer = openConsumer(client, {}, { filter, order: DeliveryOrder.PRIORITY });
        return sequencesOf(await consumer.untilSignals(signalCount));
      },
    ],
    [
      "a consumer's transform",
      async (client) => {
        using consumer = openConsumer(client, {}, { transform });
        return sequencesOf(await consumer.untilSignals(signalCount));
      },
    ],
    ["a replay's filter", async (client) => sequencesOf(await replayed(client, { filter }))],
    ["a replay's transform", async (client) => sequencesOf(await replayed(client, { transform }))],
    ["history's filter", async (client) => (await historyPages(client, OLDEST_FIRST)).flat()],
    ["history's filter, newest first", async (client) => (await historyPages(client, NEWEST_FIRST)).flat().reverse()],
  ];

  test.each(waysToAll)("%s", async (_, read) => {
    await using server = await startTestServer();
    using client = grpc.connect(server.url);
    await sendMany(client);
    using steps = watchEvaluationSteps();
    expect(await read(client)).toEqual(everySequence);
    expect(steps.total).toBeGreaterThan(2 * mostInARow);
    expect(steps.mostInARow).toBeLessThan(mostInARow);
  });

  test("a wait's conditions, several of one signal too", async () => {
    await using server = await startTestServer();
    using client = grpc.connect(server.url);
    await sendMany(client);
    using steps = watchEvaluationSteps();
    const conditions = Array.from({ length: 10 }, () => ({ condition: { case: "signal" as const, value: never } }));
    const timeout = durationFromMs(1);
    const wait = client.coordinations.waitFor({ coordinationId, agentId: "w", conditions, timeout });
    expect(await refusalOf(wait)).toMatchObject({ reason: "WAIT_TIMEOUT" });
    expect(steps.mostInARow).toBeLessThan(mostInARow);
  });

  test("the server's own transform in a timeline", async () => {
    await using directory = await temporaryDirectory();
    const file = join(directory.path, "transform.json");
    await writeFile(file, JSON.stringify({ fields: [{ path: "message", set: `string(${dear})` }] }));
    await using server = await startTestServer(["--transform-file", file]);
    using client = grpc.connect(server.url);
    await sendMany(client);
    using steps = watchEvaluationSteps();
    await client.coordinations.getTimeline({ coordinationId });
    expect(steps.total).toBeGreaterThan(2 * mostInARow);
    expect(steps.mostInARow).toBeLessThan(mostInARow);
  });
});

test("a page of history with a dear filter goes out before it is full, and says where the next begins", async () => {
  await using server = await startTestServer();
  using client = grpc.connect(server.url);
  for (let batch = 0; batch < 3; batch++) await sendMany(client);
  using steps = watchEvaluationSteps();
  const { nextPageToken, signals } = await client.signals.getSignalHistory({
    coordinationId,
    filter,
    order: OLDEST_FIRST,
    pageSize: 1_000,
  });
  expect(signals.length).toBeGreaterThan(0);
  expect(nextPageToken).not.toBe("");
  expect(steps.total).toBeLessThan((maxReadTurns + 1) * (maxTurnSteps + maxExpressionSteps));
});

test("a subscription says that it stands before it evaluates anything", async () => {
  await using server = await startTestServer();
  using client = grpc.connect(server.url);
  await sendMany(client);
  using steps = watchEvaluationSteps();
  using subscription = openSubscription(client.signals, { coordinationId, start: earliest, filter });
  await subscription.until("subscribed");
  expect(steps.total).toBeLessThan(mostInARow);
});

test("nothing more is evaluated for a subscriber who has left, and a server that stops does not finish first", async () => {
  await using server = await startTestServer();
  const request = { coordinationId, start: earliest, filter: never };
  using steps = watchEvaluationSteps();
  {
    using client = grpc.connect(server.url);
    for (let batch = 0; batch < 3; batch++) await sendMany(client);
    using subscription = openSubscription(client.signals, request);
    await subscription.until("subscribed");
  }
  await server.untilUnused();
  const ofFirst = steps.total;
  await settle(100);
  expect(steps.total).toBe(ofFirst);
  using client = grpc.connect(server.url);
  using subscription = openSubscription(client.signals, request);
  await subscription.until("subscribed");
  const ended = subscription.untilEnd();
  await server.stop();
  expect(refusalFrom(await ended)).toMatchObject({ reason: "SHUTTING_DOWN" });
  const leastOfAll = 3 * signalCount * dearItems * dearItems;
  for (const taken of [ofFirst, steps.total - ofFirst]) expect(taken).toBeLessThan(leastOfAll);
});

/** Makes named subscriptions of one agent, none of which gets anything. */
async function createMany({ signals }: TestClient): Promise<void> {
  for (let index = 0; index < signalCount; index++) {
    const subscription = `work-${index}`;
    const parts = { agentId: "worker", filter: never, start: earliest, ackPolicy: policyOf() };
    await signals.createSubscription({ coordinationId, subscription, ...parts });
  }
}

test("dear filters of many subscriptions, asked what became of one signal, let everybody else run in between", async () => {
  await using server = await startTestServer();
  using client = grpc.connect(server.url);
  await client.agents.registerAgent({ coordinationId, agentId: "worker" });
  await createMany(client);
  await send(client, [dearItems]);
  using steps = watchEvaluationSteps();
  const reader = { case: "agentId" as const, value: "worker" };
  const { subscriptions } = await client.signals.explainDelivery({ coordinationId, sequence: 1n, reader });
  expect(subscriptions).toHaveLength(signalCount);
  const ofExplanation = steps.total;
  const signal = { case: "sequence" as const, value: 1n };
  await client.signals.getSignalReceipts({ coordinationId, signal });
  const ofReceipts = steps.total - ofExplanation;
  for (const taken of [ofExplanation, ofReceipts]) expect(taken).toBeGreaterThan(2 * mostInARow);
  expect(steps.mostInARow).toBeLessThan(mostInARow);
});

test("the filters that a send with required_acks asks share one budget", async () => {
  await using server = await startTestServer();
  using client = grpc.connect(server.url);
  await createMany(client);
  using steps = watchEvaluationSteps();
  const payload = { items: Array.from({ length: dearItems }, (_, index) => index) };
  const sent = client.signals.sendSignal({
    coordinationId,
    senderAgentId: "sender",
    event: { case: "interAgentMessage", value: { payload } },
    requiredAcks: ["worker"],
    ackTimeout: durationFromMs(1),
  });
  expect(await refusalOf(sent)).toMatchObject({ reason: "REQUEST_TIMEOUT" });
  expect(steps.mostInARow).toBeLessThan(mostInARow);
});

test("the expressions of a transform share one budget for a signal", async () => {
  await using server = await startTestServer();
  using client = grpc.connect(server.url);
  await send(client, [dearItems]);
  const all = { fields: Array.from({ length: 32 }, () => set(`string(${dear})`)) };
  using steps = watchEvaluationSteps();
  expect(await refusalOf(replayed(client, { transform: all }))).toMatchObject({
    reason: "FILTER_BUDGET_EXCEEDED",
    metadata: { part: "fields[2].set", sequence: "1", limit_steps: String(maxExpressionSteps) },
  });
  expect(steps.total).toBeLessThan(2 * maxExpressionSteps);
});

describe("what stands before a signal that is too dear goes out before the error", () => {
  const counts = [1, 1, 1, tooDearItems, 1];
  const tooDear = { reason: "FILTER_BUDGET_EXCEEDED", metadata: { sequence: "4" } };

  test.each([
    ["a subscription's filter", { filter }],
    ["a subscription's transform", { transform }],
    ["a subscription's filter in order of priority", { filter, order: DeliveryOrder.PRIORITY }],
    ["a subscription's transform in order of priority", { transform, order: DeliveryOrder.PRIORITY }],
  ])("%s", async (_, parts) => {
    await using server = await startTestServer();
    using client = grpc.connect(server.url);
    await send(client, counts);
    using subscription = openSubscription(client.signals, { coordinationId, start: earliest, ...parts });
    expect(refusalFrom(await subscription.untilEnd())).toMatchObject(tooDear);
    expect(sequencesOf(subscription.signals)).toEqual([1, 2, 3]);
    const rest = { case: "afterSequence" as const, value: 4n };
    using resumed = openSubscription(client.signals, { coordinationId, start: rest, ...parts });
    expect(sequencesOf(await resumed.untilSignals(1))).toEqual([5]);
  });

  test.each([
    ["a replay's filter", { filter }],
    ["a replay's transform", { transform }],
  ])("%s", async (_, parts) => {
    await using server = await startTestServer();
    using client = grpc.connect(server.url);
    await send(client, counts);
    const read: number[] = [];
    const reading = async () => {
      for await (const { signals } of client.signals.replaySignals({ coordinationId, ...parts })) {
        read.push(...sequencesOf(signals));
      }
    };
    expect(await refusalOf(reading())).toMatchObject(tooDear);
    expect(read).toEqual([1, 2, 3]);
  });

  test.each([
    ["history", OLDEST_FIRST, [1, 2, 3]],
    ["history, newest first", NEWEST_FIRST, [5]],
  ])("%s", async (_, order, before) => {
    await using server = await startTestServer();
    using client = grpc.connect(server.url);
    await send(client, counts);
    const request = { coordinationId, filter, order };
    const { signals, nextPageToken } = await client.signals.getSignalHistory(request);
    expect(sequencesOf(signals)).toEqual(before);
    expect(await refusalOf(client.signals.getSignalHistory({ ...request, pageToken: nextPageToken }))).toMatchObject(
      tooDear,
    );
  });
});
