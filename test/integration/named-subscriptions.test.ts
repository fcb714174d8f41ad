import { AckAction, AckMode } from "@coordination-signals/proto/coordination/v1/acknowledgement";
import { SignalType } from "@coordination-signals/proto/coordination/v1/signal";
import { DeliveryOrder, StartPosition } from "@coordination-signals/proto/coordination/v1/signal_service";
import { describe, expect, test } from "@jest/globals";
import { eventually } from "../support/eventually.js";
import { refusalFrom, refusalFromStatus, refusalOf } from "../support/refusal.js";
import { connectJson, grpc } from "../support/test-client.js";
import { startTestServer } from "../support/test-server.js";
import {
  ack,
  acknowledge,
  coordinationId,
  deadLetters,
  deliveredTo,
  extend,
  nack,
  openConsumer,
  policyOf,
  reject,
  sendMessages,
  standingOf,
  subscription,
  untilDelivered,
} from "../support/work-subscription.js";

const named = { coordinationId, subscription };

describe.each([grpc, connectJson])("a named subscription over $name", (protocol) => {
  async function start() {
    const server = await startTestServer();
    const client = protocol.connect(server.url);
    return {
      client,
      [Symbol.asyncDispose]: async () => {
        client.disconnect();
        await server[Symbol.asyncDispose]();
      },
    };
  }

  test("can be made before the first signal, and then gets everything", async () => {
    await using running = await start();
    const { client } = running;
    const made = await client.signals.createSubscription({ ...named, ackPolicy: policyOf({ attempts: 7 }) });
    expect(made.subscription).toMatchObject({
      subscription,
      coordinationId,
      start: { case: "position", value: StartPosition.LATEST },
      ackPolicy: {
        mode: AckMode.EXPLICIT,
        maxDeliveryAttempts: 7,
        maxOutstanding: 1_000,
        ackDeadline: { seconds: 30n },
      },
      scannedSequence: 0n,
    });
    await sendMessages(client, ["a"]);
    using consumer = openConsumer(client, { attempts: 7 }, { start: { case: undefined } });
    const delivered = await untilDelivered(consumer, 1);
    expect(delivered).toMatchObject({ message: "a", sequence: 1n });
    expect(await acknowledge(client, ack(delivered))).toEqual(["taken"]);
    consumer.cancel();
  });

  test("makes nothing of a coordination that a plain subscription waits for", async () => {
    await using running = await start();
    const { client } = running;
    expect(await refusalOf(client.signals.listSubscriptions({ coordinationId }))).toMatchObject({
      reason: "COORDINATION_NOT_FOUND",
    });
    expect(await refusalOf(deadLetters(client))).toMatchObject({ reason: "COORDINATION_NOT_FOUND" });
  });

  test.each([
    ["agent_id", { agentId: "other" }],
    ["filter", { filter: { signalTypes: [SignalType.AGENT_COMPLETED] } }],
    ["start", { start: { case: "position" as const, value: StartPosition.LATEST } }],
    ["order", { order: DeliveryOrder.PRIORITY }],
    ["include_own", { includeOwn: true }],
    ["ack_policy.ack_deadline", { ackPolicy: policyOf({ deadlineMs: 1_000 }) }],
    ["ack_policy.max_delivery_attempts", { ackPolicy: policyOf({ attempts: 6 }) }],
    ["ack_policy.max_outstanding", { ackPolicy: policyOf({ maxOutstanding: 6 }) }],
  ])("is not joined by who says another %s", async (field, parts) => {
    await using running = await start();
    const { client } = running;
    await sendMessages(client, ["a"]);
    using consumer = openConsumer(client);
    await consumer.until("subscribed");
    using differing = openConsumer(client, {}, parts);
    expect(refusalFrom(await differing.untilEnd())).toMatchObject({
      code: "FailedPrecondition",
      reason: "SUBSCRIPTION_CONFLICT",
      metadata: { field },
    });
    expect(await standingOf(client)).toMatchObject({ consumerCount: 1n });
    consumer.cancel();
  });

  test("is joined by who says the same of its filter in another order, and by who says nothing of its start", async () => {
    await using running = await start();
    const { client } = running;
    const filterOf = (...signalTypes: SignalType[]) => ({ filter: { signalTypes, metadata: { a: "1", b: "2" } } });
    const types = [SignalType.AGENT_COMPLETED, SignalType.INTER_AGENT_MESSAGE] as const;
    using consumer = openConsumer(client, {}, filterOf(...types));
    await consumer.until("subscribed");
    using other = openConsumer(client, {}, { ...filterOf(types[1], types[0]), start: { case: undefined } });
    expect((await other.next()).case).toBe("subscribed");
    for (const each of [consumer, other]) each.cancel();
  });

  test.each([
    ["a name without acknowledgement", { ackPolicy: undefined }],
    ["acknowledgement without a name", { subscription: "" }],
    ["acknowledgement with a cursor", { start: { case: "cursor" as const, value: "x" } }],
    ["a mode that acknowledges nothing", { ackPolicy: { mode: AckMode.NONE } }],
    ["a policy without its mode", { subscription: "", ackPolicy: { maxOutstanding: 5 } }],
    ["a least backoff above the greatest", { ackPolicy: policyOf({ minBackoffMs: 2_000, maxBackoffMs: 1_000 }) }],
    ["more outstanding than can be", { ackPolicy: policyOf({ maxOutstanding: 10_001 }) }],
    ["a deadline that is too short", { ackPolicy: policyOf({ deadlineMs: 1 }) }],
  ])("is refused for %s, and nothing is made", async (_, parts) => {
    await using running = await start();
    const { client } = running;
    await sendMessages(client, ["a"]);
    using consumer = openConsumer(client, {}, parts);
    expect(refusalFrom(await consumer.untilEnd())).toMatchObject({
      code: "InvalidArgument",
      reason: "INVALID_REQUEST",
    });
    expect((await client.signals.listSubscriptions({ coordinationId })).subscriptions).toEqual([]);
  });

  test("refuses acknowledgements item by item, and a refused one changes nothing", async () => {
    await using running = await start();
    const { client } = running;
    await sendMessages(client, ["a"]);
    using consumer = openConsumer(client);
    const delivered = await untilDelivered(consumer, 1);
    const invented = `${delivered.deliveryId.slice(0, -1)}${delivered.deliveryId.endsWith("A") ? "B" : "A"}`;
    const outcomes = await acknowledge(
      client,
      { deliveryId: invented },
      { deliveryId: "never" },
      { deliveryId: "" },
      { ...ack(delivered), delay: { seconds: 1n } },
      { ...reject(delivered), delay: { seconds: 1n } },
      { ...ack(delivered), reason: "because" },
      extend(delivered, 0),
      { ...ack(delivered), action: 9 as AckAction },
    );
    const refused = "INVALID_REQUEST";
    expect(outcomes).toEqual(["NOT_DELIVERED", "NOT_DELIVERED", ...new Array(6).fill(refused)]);
    expect(await standingOf(client)).toMatchObject({ outstandingCount: 1n, leasedCount: 1n, deadLetterCount: 0n });
    expect(await acknowledge(client, ack(delivered), { ...ack(delivered), action: AckAction.NACK })).toEqual([
      "taken",
      "ACK_EXPIRED",
    ]);
    consumer.cancel();
  });

  test("says why a delivery cannot be acknowledged any more", async () => {
    await using running = await start();
    const { client } = running;
    await sendMessages(client, ["done", "dead", "refused", "again", "gone"]);
    using consumer = openConsumer(client, { minBackoffMs: 0 });
    await untilDelivered(consumer, 5);
    const delivered = deliveredTo(consumer);
    const [done, dead, refused, again] = delivered;
    if (!done || !dead || !refused || !again) throw new Error("deliveries are missing");
    await acknowledge(client, ack(done), reject(dead), nack(refused, 3_600_000), nack(again, 0));
    await untilDelivered(consumer, 6);
    await client.state.rollbackCoordination({ coordinationId, toSequence: 4n, reason: "undone" });
    const { results } = await client.signals.acknowledgeSignals({ ...named, acknowledgements: delivered.map(ack) });
    const refusals = results.map(({ error }) => error && refusalFromStatus(error));
    const causes = ["settled", "dead_lettered", "released", "superseded", "rolled_back"];
    expect(refusals).toMatchObject(causes.map((cause) => ({ reason: "ACK_EXPIRED", metadata: { cause } })));
    consumer.cancel();
  });

  test("says which subscription, dead letter or coordination is not there", async () => {
    await using running = await start();
    const { client } = running;
    const { signals } = client;
    expect(
      await refusalOf(signals.acknowledgeSignals({ ...named, acknowledgements: [{ deliveryId: "x" }] })),
    ).toMatchObject({
      reason: "COORDINATION_NOT_FOUND",
    });
    await sendMessages(client, ["a"]);
    for (const call of [
      () => signals.acknowledgeSignals({ ...named, acknowledgements: [{ deliveryId: "x" }] }),
      () => signals.deleteSubscription(named),
      () => signals.listDeadLetters(named),
      () => signals.redriveDeadLetters(named),
    ]) {
      expect(await refusalOf(call())).toMatchObject({ code: "NotFound", reason: "SUBSCRIPTION_NOT_FOUND" });
    }
    await signals.createSubscription(named);
    expect(await refusalOf(signals.redriveDeadLetters({ ...named, sequences: [1n] }))).toMatchObject({
      reason: "SIGNAL_NOT_FOUND",
      metadata: { sequence: "1" },
    });
    expect(await refusalOf(signals.redriveDeadLetters({ coordinationId, sequences: [1n] }))).toMatchObject({
      reason: "INVALID_REQUEST",
    });
    expect(await signals.redriveDeadLetters({ coordinationId })).toMatchObject({ redrivenCount: 0n });
  });

  test("is told by the audit, with what was acknowledged", async () => {
    await using running = await start();
    const { client } = running;
    await sendMessages(client, ["a", "b"]);
    using consumer = openConsumer(client, {}, { agentId: "worker" });
    await untilDelivered(consumer, 2);
    await acknowledge(client, ...deliveredTo(consumer).map(ack));
    const { changes } = await client.state.listStateChanges({ coordinationId, pageSize: 2 });
    expect(changes).toMatchObject([
      { kind: 11, actors: ["worker"], detail: subscription, fromSequence: 1n, throughSequence: 2n },
      { kind: 9, actors: ["worker"], detail: subscription },
    ]);
    consumer.cancel();
  });
});

describe("a server that redacts", () => {
  test("keeps it from consumers and from readers of dead letters", async () => {
    await using server = await startTestServer(["--redact", "metadata.token"]);
    using client = grpc.connect(server.url);
    await client.signals.sendSignal({
      coordinationId,
      senderAgentId: "sender",
      metadata: { token: "s3cr3t", stage: "one" },
      event: { case: "interAgentMessage", value: { message: "a" } },
    });
    using consumer = openConsumer(client);
    const delivered = await untilDelivered(consumer, 1);
    expect(consumer.signals[0]?.metadata).toEqual({ token: "[redacted]", stage: "one" });
    await acknowledge(client, reject(delivered));
    const { deadLetters: letters } = await deadLetters(client);
    expect(letters[0]?.signal?.metadata).toEqual({ token: "[redacted]", stage: "one" });
    consumer.cancel();
  });
});

describe("the list of dead letters", () => {
  test("comes in pages, those that came last first", async () => {
    await using server = await startTestServer();
    using client = grpc.connect(server.url);
    await sendMessages(client, ["1", "2", "3", "4", "5"]);
    using consumer = openConsumer(client);
    await untilDelivered(consumer, 5);
    await acknowledge(client, ...deliveredTo(consumer).map((delivered) => reject(delivered)));
    const sequences: bigint[] = [];
    let pageToken = "";
    do {
      const page = await client.signals.listDeadLetters({ coordinationId, pageSize: 2, pageToken });
      sequences.push(...page.deadLetters.map(({ sequence }) => sequence));
      expect(page.deadLetterCount).toBe(5n);
      pageToken = page.nextPageToken;
    } while (pageToken !== "");
    expect(sequences).toEqual([5n, 4n, 3n, 2n, 1n]);
    consumer.cancel();
  });
});

describe("redriving", () => {
  const numbered = (count: number) => Array.from({ length: count }, (_, index) => `${index + 1}`);

  test("puts back at most 1,000 that are not settled: the rest stay dead letters, and what is named and does not fit is refused", async () => {
    await using server = await startTestServer(["--max-history-signals", "10"]);
    using client = grpc.connect(server.url);
    const policy = { maxOutstanding: 10 };
    await client.signals.createSubscription({ ...named, ackPolicy: policyOf(policy) });
    await sendMessages(client, numbered(1_000));
    await sendMessages(client, numbered(1_000));
    await eventually(async () => expect((await deadLetters(client)).deadLetterCount).toBe(1_000n));
    expect(await client.signals.redriveDeadLetters(named)).toMatchObject({ redrivenCount: 1_000n });
    await sendMessages(client, numbered(1_000));
    await eventually(async () => expect((await deadLetters(client)).deadLetterCount).toBeGreaterThan(500n));
    const { deadLetterCount, deadLetters: letters } = await deadLetters(client);
    expect(await client.signals.redriveDeadLetters({ coordinationId })).toMatchObject({ redrivenCount: 0n });
    const sequences = letters.slice(0, 2).map(({ sequence }) => sequence);
    expect(await refusalOf(client.signals.redriveDeadLetters({ ...named, sequences }))).toMatchObject({
      code: "ResourceExhausted",
      reason: "TOO_MANY_REDRIVEN",
      metadata: { redriven: "1000", limit: "1000" },
      retryDelayMs: undefined,
    });
    expect(await standingOf(client)).toMatchObject({ outstandingCount: 1_000n, deadLetterCount });
    using consumer = openConsumer(client, policy, { start: { case: undefined } });
    await untilDelivered(consumer, 10);
    await acknowledge(client, ...deliveredTo(consumer).slice(0, 2).map(ack));
    expect(await client.signals.redriveDeadLetters({ ...named, sequences })).toMatchObject({ redrivenCount: 2n });
    expect(await deadLetters(client)).toMatchObject({ deadLetterCount: deadLetterCount - 2n });
    consumer.cancel();
  });

  test.each([DeliveryOrder.SEQUENCE, DeliveryOrder.PRIORITY])(
    "hands out no more at the same time than may be outstanding, however many consumers wait, in order %s",
    async (order) => {
      await using server = await startTestServer();
      using client = grpc.connect(server.url);
      const open = () => openConsumer(client, { maxOutstanding: 1 }, { order });
      await sendMessages(client, ["1", "2", "3"]);
      using first = open();
      for (const count of [1, 2, 3]) await acknowledge(client, reject(await untilDelivered(first, count)));
      const consumers = [first, open(), open()];
      const endings = consumers.map((consumer) => consumer.untilEnd());
      const handedOut = () => consumers.flatMap(deliveredTo).slice(3);
      for (const { items } of consumers) {
        await eventually(() => expect(items.map((item) => item.case)).toContain("caughtUp"));
      }
      expect(await client.signals.redriveDeadLetters(named)).toMatchObject({ redrivenCount: 3n });
      for (const count of [1, 2, 3]) {
        await eventually(() => expect(handedOut().length).toBeGreaterThanOrEqual(count));
        expect(await standingOf(client)).toMatchObject({ outstandingCount: BigInt(4 - count), leasedCount: 1n });
        await acknowledge(client, ...handedOut().map(ack));
      }
      expect(await standingOf(client)).toMatchObject({ outstandingCount: 0n, deadLetterCount: 0n });
      for (const consumer of consumers) consumer.cancel();
      await Promise.all(endings);
    },
  );
});
