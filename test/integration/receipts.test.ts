import { type Timestamp, timestampMs } from "@bufbuild/protobuf/wkt";
import { createCoordinationClient } from "@coordination-signals/client";
import { DeadLetterReason } from "@coordination-signals/proto/coordination/v1/acknowledgement";
import { DeliveryVerdict } from "@coordination-signals/proto/coordination/v1/receipt";
import { Priority } from "@coordination-signals/proto/coordination/v1/signal";
import {
  type GetSignalReceiptsResponse,
  StartPosition,
} from "@coordination-signals/proto/coordination/v1/signal_service";
import { afterAll, beforeAll, describe, expect, test } from "@jest/globals";
import { eventually } from "../support/eventually.js";
import { refusalOf } from "../support/refusal.js";
import { newCoordinationId, note, notes, type SignalInit } from "../support/sample-signals.js";
import { serverForAll } from "../support/server-for-all.js";
import { spawnServer } from "../support/spawned-server.js";
import { temporaryDirectory } from "../support/temporary-directory.js";
import { grpc, protocols, type TestClient } from "../support/test-client.js";
import { openTestPostgres } from "../support/test-postgres.js";
import { startTestServer, type TestServer } from "../support/test-server.js";
import { openSubscription } from "../support/test-subscription.js";
import {
  ack,
  deliveredTo,
  nack,
  openConsumer,
  type PolicyParts,
  reject,
  untilDelivered,
} from "../support/work-subscription.js";

const postgres = await openTestPostgres();
afterAll(async () => postgres?.[Symbol.asyncDispose]());

const register = (client: TestClient, coordinationId: string, ...agentIds: readonly string[]) =>
  Promise.all(agentIds.map((agentId) => client.agents.registerAgent({ coordinationId, agentId })));

/** Reads as an agent from a position, until the test is over. */
function read(client: TestClient, coordinationId: string, agentId: string, rest: object = {}) {
  const start = { case: "position", value: StartPosition.EARLIEST } as const;
  return openSubscription(client.signals, { coordinationId, agentId, start, ...rest });
}

const receiptsOf = (client: TestClient, coordinationId: string, sequence: bigint, rest: object = {}) =>
  client.signals.getSignalReceipts({ coordinationId, signal: { case: "sequence", value: sequence }, ...rest });

/** Who got it and who replied, in short. */
function summary({ receipts }: GetSignalReceiptsResponse): string[] {
  return receipts.map(({ agentId, deliveredTime, replySequence }) => {
    return `${agentId} ${deliveredTime === undefined ? "-" : "delivered"} ${replySequence}`;
  });
}

const explain = (client: TestClient, coordinationId: string, sequence: bigint, agentId: string) =>
  client.signals.explainDelivery({ coordinationId, sequence, reader: { case: "agentId", value: agentId } });

const verdictOf = async (...args: Parameters<typeof explain>) => {
  const { verdict, subscriptions } = await explain(...args);
  return [DeliveryVerdict[verdict], ...subscriptions.slice(0, 1).map(({ filterPart }) => filterPart)].join(" ").trim();
};

describe.each(protocols)("GetSignalReceipts by $name", ({ connect }) => {
  test("tells to whom a signal was delivered and who replied, with the times", async () => {
    await using server = await startTestServer();
    using client = connect(server.url);
    const coordinationId = newCoordinationId();
    await register(client, coordinationId, "a", "b", "sender");
    using reader = read(client, coordinationId, "a");
    const sent = await client.signals.sendSignal(note(coordinationId, "x", { recipientAgentIds: ["a", "b"] }));
    await reader.untilSignals(1);
    const { signalId: correlationId } = sent;
    const reply = await client.signals.sendSignal(note(coordinationId, "y", { senderAgentId: "a", correlationId }));
    const answer = await eventually(async () => {
      const found = await receiptsOf(client, coordinationId, 1n);
      expect(summary(found)).toEqual(["a delivered 2", "b - 0"]);
      return found;
    });
    expect(answer).toMatchObject({
      sequence: 1n,
      receiptCount: 2n,
      deliveredCount: 1n,
      repliedCount: 1n,
      throughSequence: 2n,
    });
    const [receipt] = answer.receipts;
    expect(receipt?.acceptedTime).toEqual(sent.timestamp);
    expect(receipt?.repliedTime).toEqual(reply.timestamp);
    if (receipt?.deliveredTime === undefined || sent.timestamp === undefined) throw new Error("times are missing");
    expect(timestampMs(receipt.deliveredTime)).toBeGreaterThanOrEqual(timestampMs(sent.timestamp));
    const byId = client.signals.getSignalReceipts({
      coordinationId,
      signal: { case: "signalId", value: sent.signalId.toUpperCase() },
    });
    expect(await byId).toEqual(answer);
    expect(await verdictOf(client, coordinationId, 1n, "a")).toBe("DELIVERED");
  });
});

describe("receipts and explanations", () => {
  let server: TestServer;
  let client: TestClient;
  beforeAll(async () => {
    server = await startTestServer(["--max-history-signals", "50"]);
    client = grpc.connect(server.url);
  });
  afterAll(async () => {
    client.disconnect();
    await server[Symbol.asyncDispose]();
  });

  test("of a broadcast are those of the agents registered when it was accepted, without its sender, and of whoever replied", async () => {
    const coordinationId = newCoordinationId();
    await register(client, coordinationId, "early", "sender");
    const { signalId: correlationId } = await client.signals.sendSignal(note(coordinationId));
    await register(client, coordinationId, "late", "early");
    await client.signals.sendSignal(note(coordinationId, "re", { senderAgentId: "stranger", correlationId }));
    expect(summary(await receiptsOf(client, coordinationId, 1n))).toEqual(["early - 0", "stranger - 2"]);
    await client.signals.sendSignal(note(coordinationId));
    expect(summary(await receiptsOf(client, coordinationId, 3n))).toEqual(["early - 0", "late - 0"]);
  });

  test("come in pages", async () => {
    const coordinationId = newCoordinationId();
    await register(client, coordinationId, "a", "b", "c", "d", "e");
    await client.signals.sendSignal(note(coordinationId));
    const first = await receiptsOf(client, coordinationId, 1n, { pageSize: 3 });
    expect(first.receipts.map(({ agentId }) => agentId)).toEqual(["a", "b", "c"]);
    const { nextPageToken: pageToken } = first;
    const second = await receiptsOf(client, coordinationId, 1n, { pageSize: 3, pageToken });
    expect(second).toMatchObject({
      receipts: [{ agentId: "d" }, { agentId: "e" }],
      nextPageToken: "",
      receiptCount: 5n,
    });
    expect(await refusalOf(receiptsOf(client, coordinationId, 2n, { pageToken }))).toMatchObject({
      reason: "INVALID_PAGE_TOKEN",
    });
  });

  test("say that a signal is not there, and why", async () => {
    const coordinationId = newCoordinationId();
    expect(await refusalOf(receiptsOf(client, coordinationId, 1n))).toMatchObject({ reason: "COORDINATION_NOT_FOUND" });
    await client.signals.batchSendSignals({ requests: notes(coordinationId, 60) });
    await client.state.rollbackCoordination({ coordinationId, toSequence: 58n });
    for (const [sequence, message] of [
      [61n, /not sent yet/],
      [60n, /rolled back/],
      [2n, /left the history/],
    ] as const) {
      expect(await refusalOf(receiptsOf(client, coordinationId, sequence))).toMatchObject({
        reason: "SIGNAL_NOT_FOUND",
        message: expect.stringMatching(message),
      });
    }
    const unknown = { case: "signalId", value: "0190b5e2-0000-7000-8000-000000000000" } as const;
    const byId = client.signals.getSignalReceipts({ coordinationId, signal: unknown });
    expect(await refusalOf(byId)).toMatchObject({ reason: "SIGNAL_NOT_FOUND" });
    const places = [61n, 60n, 2n].map((sequence) => verdictOf(client, coordinationId, sequence, "a"));
    expect(await Promise.all(places)).toEqual(["NOT_SENT", "ROLLED_BACK", "TRIMMED"]);
  });

  test("tell which part of a filter does not match, whose a signal is, and where a reader began", async () => {
    const coordinationId = newCoordinationId();
    await register(client, coordinationId, "other");
    await client.signals.sendSignal(note(coordinationId, "before"));
    const filter = {
      senderAgentIds: ["sen*"],
      minPriority: Priority.HIGH,
      metadata: { stage: "1" },
      expression: 'signal.inter_agent_message.message == "yes"',
    };
    using reader = read(client, coordinationId, "a", {
      filter,
      start: { case: "afterSequence", value: 1n },
    });
    const priority = Priority.HIGH;
    const metadata = { stage: "1" };
    await client.signals.sendSignal(note(coordinationId, "yes", { metadata }));
    await client.signals.sendSignal(note(coordinationId, "yes", { priority }));
    await client.signals.sendSignal(note(coordinationId, "yes", { priority, metadata, senderAgentId: "x" }));
    await client.signals.sendSignal(note(coordinationId, "no", { priority, metadata }));
    await client.signals.sendSignal(note(coordinationId, "yes", { priority, metadata, senderAgentId: "a" }));
    await client.signals.sendSignal(note(coordinationId, "yes", { priority, metadata, recipientAgentIds: ["other"] }));
    await client.signals.sendSignal(note(coordinationId, "yes", { priority, metadata }));
    await reader.untilSignals(1);
    await eventually(async () => expect(await verdictOf(client, coordinationId, 8n, "a")).toBe("DELIVERED"));
    const verdicts = [1n, 2n, 3n, 4n, 5n, 6n, 7n].map((sequence) => verdictOf(client, coordinationId, sequence, "a"));
    expect(await Promise.all(verdicts)).toEqual([
      "BEFORE_START",
      "FILTERED min_priority",
      "FILTERED metadata.stage",
      "FILTERED sender_agent_ids",
      "FILTERED expression",
      "OWN_SIGNAL",
      "NOT_ADDRESSED",
    ]);
    expect(await verdictOf(client, coordinationId, 8n, "nobody")).toBe("NO_SUBSCRIPTION");
    expect((await explain(client, coordinationId, 5n, "a")).explanation).toBe(
      'the filter of "a" does not match signal 5: expression',
    );
    expect(summary(await receiptsOf(client, coordinationId, 5n))).toEqual(["other - 0"]);
  });

  test("know what a reader that has gone has not got, and that it got it when it came back", async () => {
    const coordinationId = newCoordinationId();
    await register(client, coordinationId, "a");
    const first = read(client, coordinationId, "a");
    await client.signals.sendSignal(note(coordinationId, "1"));
    await first.untilSignals(1);
    await eventually(async () => expect(await verdictOf(client, coordinationId, 1n, "a")).toBe("DELIVERED"));
    first[Symbol.dispose]();
    await client.signals.sendSignal(note(coordinationId, "2"));
    expect(await verdictOf(client, coordinationId, 2n, "a")).toBe("NOT_YET");
    using second = read(client, coordinationId, "a", { start: { case: "afterSequence", value: 1n } });
    await second.untilSignals(1);
    await eventually(async () => expect(await verdictOf(client, coordinationId, 2n, "a")).toBe("DELIVERED"));
    expect((await explain(client, coordinationId, 2n, "a")).subscriptions).toMatchObject([
      { startSequence: 0n, deliveredSequence: 2n },
    ]);
  });

  test("are read with the SDK", async () => {
    await using sdk = createCoordinationClient({ baseUrl: server.url });
    const coordinationId = newCoordinationId();
    const sender = sdk.coordination(coordinationId, { agentId: "sender" });
    const reader = sdk.coordination(coordinationId, { agentId: "reader" });
    await reader.register({ heartbeat: false });
    const sent = await sender.message({ messageType: "ask" }, { recipients: ["reader"] });
    for await (const { signalId } of reader.subscribe({ from: "earliest" })) {
      await reader.message({ messageType: "answer" }, { correlationId: signalId });
      break;
    }
    const expected = {
      sequence: sent.sequence,
      accepted: sent.timestamp,
      receipts: [{ agentId: "reader", delivered: expect.any(Date), replied: expect.any(Date), replySequence: 2n }],
    };
    await eventually(async () => expect(await sender.receipts(sent)).toMatchObject(expected));
    expect(await sender.receipts({ signalId: sent.signalId })).toMatchObject(expected);
    expect((await sender.explainDelivery(1n, "reader")).verdict).toBe(DeliveryVerdict.DELIVERED);
  });
});

/** Consumes as an agent through a named subscription, until the test is over. */
async function work(client: TestClient, coordinationId: string, agentId: string, parts: WorkParts = {}) {
  const { policy, name: subscription = agentId, ...rest } = parts;
  const consumer = openConsumer(client, policy, { coordinationId, agentId, subscription, ...rest });
  await consumer.until("subscribed");
  return consumer;
}

interface WorkParts {
  readonly policy?: PolicyParts;
  readonly name?: string;
  readonly filter?: object;
  readonly start?: { readonly case: "afterSequence"; readonly value: bigint };
}

async function settleAs(
  { signals }: TestClient,
  coordinationId: string,
  subscription: string,
  ...acknowledgements: readonly ReturnType<typeof ack>[]
): Promise<void> {
  const request = { coordinationId, subscription, acknowledgements: [...acknowledgements] };
  const { results } = await signals.acknowledgeSignals(request);
  expect(results.flatMap(({ error }) => error ?? [])).toEqual([]);
}

const explainNamed = (client: TestClient, coordinationId: string, sequence: bigint, subscription: string) =>
  client.signals.explainDelivery({ coordinationId, sequence, reader: { case: "subscription", value: subscription } });

/** Who got it and who acknowledged it, in short. */
function acknowledgedSummary({ receipts }: GetSignalReceiptsResponse): string[] {
  return receipts.map(({ agentId, deliveredTime, acknowledgedTime }) => {
    const words = [deliveredTime && "delivered", acknowledgedTime && "acknowledged"].filter(Boolean);
    return [agentId, ...words].join(" ");
  });
}

const timeOf = (time: Timestamp | undefined): number => (time === undefined ? Number.NaN : timestampMs(time));

describe("receipts of named subscriptions", () => {
  let server: TestServer;
  let client: TestClient;
  serverForAll((...started) => {
    [client, server] = started;
  });

  test("tell when a signal was delivered and acknowledged, first, and what was not", async () => {
    const coordinationId = newCoordinationId();
    await register(client, coordinationId, "a", "b", "c", "d", "sender");
    using a = await work(client, coordinationId, "a", { policy: { minBackoffMs: 0, maxBackoffMs: 0 } });
    using b = await work(client, coordinationId, "b");
    using c = await work(client, coordinationId, "c");
    await work(client, coordinationId, "d", { filter: { minPriority: Priority.HIGH } }).then((d) => d.cancel());
    const sentMs = timeOf((await client.signals.sendSignal(note(coordinationId))).timestamp);
    await settleAs(client, coordinationId, "a", nack(await untilDelivered(a, 1)));
    await untilDelivered(b, 1);
    await settleAs(client, coordinationId, "c", reject(await untilDelivered(c, 1)));
    const again = await untilDelivered(a, 2);
    const open = await receiptsOf(client, coordinationId, 1n);
    expect(acknowledgedSummary(open)).toEqual(["a delivered", "b delivered", "c delivered", "d"]);
    await settleAs(client, coordinationId, "a", ack(again));
    const found = await receiptsOf(client, coordinationId, 1n);
    expect(acknowledgedSummary(found)).toEqual(["a delivered acknowledged", "b delivered", "c delivered", "d"]);
    expect(found).toMatchObject({ receiptCount: 4n, deliveredCount: 3n, acknowledgedCount: 1n });
    // The first delivery counts, not the one that was acknowledged.
    expect(found.receipts[0]?.deliveredTime).toEqual(open.receipts[0]?.deliveredTime);
    const [{ deliveredTime, acknowledgedTime } = {}] = found.receipts;
    expect(timeOf(deliveredTime)).toBeGreaterThanOrEqual(sentMs);
    expect(timeOf(acknowledgedTime)).toBeGreaterThanOrEqual(timeOf(deliveredTime));
  });

  test("are exact for the last that were acknowledged and for those of which that was required, and else never too early", async () => {
    const coordinationId = newCoordinationId();
    using a = await work(client, coordinationId, "a");
    const required = { ...note(coordinationId), requiredAcks: ["a", "a2"] } as SignalInit;
    using second = await work(client, coordinationId, "a2");
    const call = client.signals.sendSignal(required);
    await settleAs(client, coordinationId, "a2", ack(await untilDelivered(second, 1)));
    await settleAs(client, coordinationId, "a", ack(await untilDelivered(a, 1)));
    await call;
    const exact = await receiptsOf(client, coordinationId, 1n);
    expect(acknowledgedSummary(exact)).toEqual(["a delivered acknowledged", "a2 delivered acknowledged"]);
    await register(client, coordinationId, "a");
    await client.signals.batchSendSignals({ requests: notes(coordinationId, 600) });
    const timesAtOnce: number[] = [];
    for (let done = 1; done < 601; ) {
      await untilDelivered(a, done + 1);
      const delivered = deliveredTo(a).slice(done);
      await settleAs(client, coordinationId, "a", ...delivered.map(ack));
      const { sequence = 0n } = delivered.at(-1) ?? {};
      const { receipts } = await receiptsOf(client, coordinationId, sequence);
      timesAtOnce[Number(sequence)] = timeOf(receipts[0]?.acknowledgedTime);
      done += delivered.length;
    }
    expect((await receiptsOf(client, coordinationId, 1n)).receipts).toEqual(exact.receipts);
    for (const [sequence, atOnceMs] of timesAtOnce.entries()) {
      if (atOnceMs === undefined) continue;
      const { receipts } = await receiptsOf(client, coordinationId, BigInt(sequence));
      expect(timeOf(receipts[0]?.acknowledgedTime)).toBeGreaterThanOrEqual(atOnceMs);
      if (sequence > 601 - 240) expect(timeOf(receipts[0]?.acknowledgedTime)).toBe(atOnceMs);
    }
  });

  test("are read with the SDK", async () => {
    await using sdk = createCoordinationClient({ baseUrl: server.url });
    const coordinationId = newCoordinationId();
    const sender = sdk.coordination(coordinationId, { agentId: "sender" });
    const worker = sdk.coordination(coordinationId, { agentId: "worker" });
    await using tasks = worker.work({ subscription: "tasks" }, () => undefined);
    await tasks.ready();
    const sent = await sender.message({ messageType: "task" }, { requireAck: ["worker"] });
    expect((await sender.receipts(sent)).receipts).toMatchObject([
      { agentId: "worker", delivered: expect.any(Date), acknowledged: expect.any(Date), replied: undefined },
    ]);
    const { verdict, explanation } = await sender.explainDelivery(1n, { subscription: "tasks" });
    expect([verdict, explanation]).toEqual([
      DeliveryVerdict.ACKNOWLEDGED,
      'signal 1 was acknowledged through subscription "tasks"',
    ]);
    await expect(sender.explainDelivery(1n, { subscription: "none" })).rejects.toMatchObject({
      reason: "SUBSCRIPTION_NOT_FOUND",
    });
  });

  test("say what a subscription made of a signal: who has it, that it waits, is done or given up, and why it is not its", async () => {
    const coordinationId = newCoordinationId();
    await register(client, coordinationId, "other", "a");
    await client.signals.sendSignal(note(coordinationId, "before"));
    const policy = { maxOutstanding: 4, deadlineMs: 3_600_000 };
    const parts = { policy, name: "work", filter: { minPriority: Priority.HIGH } };
    using a = await work(client, coordinationId, "a", { ...parts, start: { case: "afterSequence", value: 1n } });
    const priority = Priority.HIGH;
    for (const message of ["done", "refused", "rejected", "open"]) {
      await client.signals.sendSignal(note(coordinationId, message, { priority }));
    }
    await client.signals.sendSignal(note(coordinationId, "low"));
    await client.signals.sendSignal(note(coordinationId, "own", { priority, senderAgentId: "a" }));
    await client.signals.sendSignal(note(coordinationId, "theirs", { priority, recipientAgentIds: ["other"] }));
    await untilDelivered(a, 4);
    const [done, refused, rejected] = deliveredTo(a);
    if (done === undefined || refused === undefined || rejected === undefined)
      throw new Error("deliveries are missing");
    await settleAs(
      client,
      coordinationId,
      "work",
      ack(done),
      nack(refused, 3_600_000, "busy"),
      reject(rejected, "never"),
    );
    // Two have their place, and two more come; the last one has to wait for its turn.
    for (const message of ["x", "y", "z"]) {
      await client.signals.sendSignal(note(coordinationId, message, { priority }));
    }
    await untilDelivered(a, 6);
    const verdicts = Array.from({ length: 11 }, async (_, index) => {
      const { verdict, subscriptions } = await explainNamed(client, coordinationId, BigInt(index + 1), "work");
      return [DeliveryVerdict[verdict], subscriptions[0]] as const;
    });
    const [before, acknowledged, waiting, dead, outstanding, filtered, own, theirs, , , notYet] =
      await Promise.all(verdicts);
    const subscription = "work";
    expect(before).toMatchObject(["BEFORE_START", { subscription, startSequence: 1n }]);
    expect(acknowledged).toMatchObject(["ACKNOWLEDGED", { deliveredTime: {}, acknowledgedTime: {} }]);
    expect(waiting).toMatchObject(["WAITING", { attempt: 1, detail: "busy", deliveredTime: {}, consumer: "" }]);
    expect(timeOf(waiting?.[1]?.availableTime)).toBeGreaterThan(Date.now());
    expect(dead).toMatchObject([
      "DEAD_LETTERED",
      { attempt: 1, detail: "never", deadLetterReason: DeadLetterReason.REJECTED },
    ]);
    expect(outstanding).toMatchObject(["OUTSTANDING", { attempt: 1, consumer: expect.stringMatching(/^[\w-]+$/) }]);
    expect(timeOf(outstanding?.[1]?.deadline)).toBeGreaterThan(Date.now());
    expect(filtered).toMatchObject(["FILTERED", { filterPart: "min_priority" }]);
    expect([own?.[0], theirs?.[0], notYet?.[0]]).toEqual(["OWN_SIGNAL", "NOT_ADDRESSED", "NOT_YET"]);
    const { explanation } = await explainNamed(client, coordinationId, 4n, "work");
    expect(explanation).toBe('subscription "work" gave signal 4 up after 1 attempts, REJECTED: never');
    // Of its agent the same is told.
    const byAgent = Array.from({ length: 8 }, (_, index) => verdictOf(client, coordinationId, BigInt(index + 1), "a"));
    expect(await Promise.all(byAgent)).toEqual([
      "BEFORE_START",
      "ACKNOWLEDGED",
      "WAITING",
      "DEAD_LETTERED",
      "OUTSTANDING",
      "FILTERED min_priority",
      "OWN_SIGNAL",
      "NOT_ADDRESSED",
    ]);
    expect(await refusalOf(explainNamed(client, coordinationId, 1n, "none"))).toMatchObject({
      code: "NotFound",
      reason: "SUBSCRIPTION_NOT_FOUND",
    });
  });

  test("say of a signal that has left the history what is kept of it, and do not take a lost dead letter for acknowledged", async () => {
    await using small = await startTestServer(["--max-history-signals", "3000"]);
    using one = grpc.connect(small.url);
    using a = await work(one, "c", "a");
    await one.signals.sendSignal(note("c"));
    await settleAs(one, "c", "a", reject(await untilDelivered(a, 1)));
    // One dead letter more than are kept.
    for (let done = 1; done < 1_001; ) {
      if (done === 1) await one.signals.batchSendSignals({ requests: notes("c", 1_000) });
      await untilDelivered(a, done + 1);
      const delivered = deliveredTo(a).slice(done);
      await settleAs(one, "c", "a", ...delivered.map((each) => reject(each)));
      done += delivered.length;
    }
    const kinds = async (...sequences: readonly bigint[]) => {
      const found = sequences.map((sequence) => explainNamed(one, "c", sequence, "a"));
      return (await Promise.all(found)).map(({ verdict }) => DeliveryVerdict[verdict]);
    };
    expect(await kinds(1n, 2n)).toEqual(["SETTLED", "DEAD_LETTERED"]);
    await register(one, "c", "a");
    expect(acknowledgedSummary(await receiptsOf(one, "c", 1n))).toEqual([]);
    for (let sent = 0; sent < 4_000; sent += 1_000) {
      await one.signals.batchSendSignals({ requests: notes("c", 1_000, { recipientAgentIds: ["sender"] }) });
    }
    await eventually(async () => expect(await kinds(1n, 2n, 1_002n)).toEqual(["TRIMMED", "DEAD_LETTERED", "TRIMMED"]));
  });
});

describe("what was handed over", () => {
  test("and acknowledged through named subscriptions is known after kill -9", async () => {
    await using directory = await temporaryDirectory();
    const flags = ["--store", `lmdb:${directory.path}`];
    await using first = await spawnServer(flags);
    let before: GetSignalReceiptsResponse;
    {
      using client = grpc.connect(first.url);
      await register(client, "kept", "a", "b");
      using a = await work(client, "kept", "a");
      using b = await work(client, "kept", "b", { policy: { deadlineMs: 3_600_000 } });
      await client.signals.sendSignal(note("kept"));
      await settleAs(client, "kept", "a", ack(await untilDelivered(a, 1)));
      await untilDelivered(b, 1);
      before = await receiptsOf(client, "kept", 1n);
      expect(acknowledgedSummary(before)).toEqual(["a delivered acknowledged", "b delivered"]);
      expect((await explainNamed(client, "kept", 1n, "b")).verdict).toBe(DeliveryVerdict.OUTSTANDING);
      first.kill("SIGKILL");
    }
    await first.exited;
    await using second = await spawnServer(flags);
    using client = grpc.connect(second.url);
    expect(await receiptsOf(client, "kept", 1n)).toEqual(before);
    // Nobody can have it any more: it is delivered again at once, and not when the lease of an hour ends.
    const { verdict, subscriptions } = await explainNamed(client, "kept", 1n, "b");
    expect(verdict).toBe(DeliveryVerdict.WAITING);
    expect(timeOf(subscriptions[0]?.availableTime)).toBeLessThanOrEqual(Date.now());
  });

  test("is known after the server was stopped, and after kill -9 once the reader has resumed", async () => {
    await using directory = await temporaryDirectory();
    const flags = ["--store", `lmdb:${directory.path}`];
    await using first = await spawnServer(flags);
    let cursor = "";
    {
      using client = grpc.connect(first.url);
      await register(client, "kept", "a");
      using reader = read(client, "kept", "a");
      await client.signals.sendSignal(note("kept", "1", { recipientAgentIds: ["a"] }));
      await reader.untilSignals(1);
      await eventually(async () => expect(await verdictOf(client, "kept", 1n, "a")).toBe("DELIVERED"));
    }
    await first.stop();
    await using second = await spawnServer(flags);
    {
      using client = grpc.connect(second.url);
      expect(summary(await receiptsOf(client, "kept", 1n))).toEqual(["a delivered 0"]);
      using reader = read(client, "kept", "a", { start: { case: "afterSequence", value: 1n } });
      await client.signals.sendSignal(note("kept", "2", { recipientAgentIds: ["a"] }));
      await reader.untilSignals(1);
      cursor = reader.items.flatMap((item) => (item.case === "batch" ? item.value.cursor : [])).at(-1) ?? "";
    }
    second.kill("SIGKILL");
    await second.exited;
    await using third = await spawnServer(flags);
    using client = grpc.connect(third.url);
    using reader = read(client, "kept", "a", { start: { case: "cursor", value: cursor } });
    await reader.until("subscribed");
    expect(summary(await receiptsOf(client, "kept", 2n))).toEqual(["a delivered 0"]);
  });

  (postgres === undefined ? test.skip : test)("by one server is known to the others that share its store", async () => {
    const url = (await postgres?.createDatabase()) ?? "";
    await using a = await startTestServer(["--store", url]);
    await using b = await startTestServer(["--store", url]);
    using one = grpc.connect(a.url);
    using other = grpc.connect(b.url);
    await register(one, "shared", "x", "y");
    using reader = read(one, "shared", "x");
    await other.signals.sendSignal(note("shared"));
    await reader.untilSignals(1);
    await eventually(async () =>
      expect(summary(await receiptsOf(other, "shared", 1n))).toEqual(["x delivered 0", "y - 0"]),
    );
    using consumer = await work(one, "shared", "y");
    const delivered = await untilDelivered(consumer, 1);
    expect((await explainNamed(other, "shared", 1n, "y")).verdict).toBe(DeliveryVerdict.OUTSTANDING);
    await settleAs(other, "shared", "y", ack(delivered));
    for (const client of [one, other]) {
      expect(acknowledgedSummary(await receiptsOf(client, "shared", 1n))).toContain("y delivered acknowledged");
      expect((await explainNamed(client, "shared", 1n, "y")).verdict).toBe(DeliveryVerdict.ACKNOWLEDGED);
    }
  });
});
