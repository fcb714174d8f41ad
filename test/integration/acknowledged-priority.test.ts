import { DeadLetterReason } from "@coordination-signals/proto/coordination/v1/acknowledgement";
import { Priority } from "@coordination-signals/proto/coordination/v1/signal";
import { DeliveryOrder } from "@coordination-signals/proto/coordination/v1/signal_service";
import { afterAll, describe, expect, test } from "@jest/globals";
import { eventually } from "../support/eventually.js";
import { refusalFrom } from "../support/refusal.js";
import { spawnServer } from "../support/spawned-server.js";
import { temporaryDirectory } from "../support/temporary-directory.js";
import { grpc, type TestClient } from "../support/test-client.js";
import { openTestPostgres } from "../support/test-postgres.js";
import { startTestServer } from "../support/test-server.js";
import type { TestSubscription } from "../support/test-subscription.js";
import {
  ack,
  acknowledge,
  coordinationId,
  type DeliveredSignal,
  deliveredTo,
  nack,
  openConsumer,
  type PolicyParts,
  policyOf,
  reject,
  sendMessages,
  subscription,
  untilDelivered,
} from "../support/work-subscription.js";

const { CONTROL, HIGH, NORMAL, LOW } = Priority;
const order = DeliveryOrder.PRIORITY;
const named = { coordinationId, subscription };
const postgres = await openTestPostgres();

afterAll(async () => postgres?.[Symbol.asyncDispose]());

const numbers = (count: number, prefix = ""): readonly string[] =>
  Array.from({ length: count }, (_, index) => `${prefix}${index}`);

const messagesOf = (consumer: TestSubscription): readonly string[] =>
  deliveredTo(consumer).map(({ message }) => message);

const byPriority = (client: TestClient, policy: PolicyParts = {}): TestSubscription =>
  openConsumer(client, policy, { order });

/** Sends messages named for their priorities, in this order. */
async function sendLevels(client: TestClient, ...levels: readonly Priority[]): Promise<void> {
  for (const [index, priority] of levels.entries()) {
    await sendMessages(client, [`${Priority[priority]}${index + 1}`], { priority });
  }
}

async function sendMany(client: TestClient, count: number, priority: Priority): Promise<void> {
  for (let sent = 0; sent < count; sent += 1_000) {
    await sendMessages(client, numbers(Math.min(1_000, count - sent), Priority[priority]), { priority });
  }
}

/** Acknowledges one signal after the other as they come, until so many have; answers them in their order. */
async function workThrough(client: TestClient, consumer: TestSubscription, count: number): Promise<readonly string[]> {
  for (let done = 1; done <= count; done += 1) {
    expect(await acknowledge(client, ack(await untilDelivered(consumer, done)))).toEqual(["taken"]);
  }
  return messagesOf(consumer);
}

async function standingOf({ signals }: TestClient) {
  const [found] = (await signals.listSubscriptions({ coordinationId })).subscriptions;
  if (found === undefined) throw new Error("there is no subscription");
  return found;
}

/** A server in memory and its client. */
async function start(...flags: readonly string[]) {
  const server = await startTestServer(flags);
  const client = grpc.connect(server.url);
  return {
    client,
    [Symbol.asyncDispose]: async () => {
      client.disconnect();
      await server[Symbol.asyncDispose]();
    },
  };
}

describe("a named subscription in order of priority", () => {
  test("delivers CONTROL, HIGH, NORMAL and LOW in that order, and in sequence inside a level", async () => {
    await using running = await start();
    const { client } = running;
    await sendLevels(client, LOW, NORMAL, CONTROL, HIGH, LOW, HIGH, CONTROL, NORMAL);
    using consumer = byPriority(client);
    await untilDelivered(consumer, 8);
    expect(messagesOf(consumer)).toEqual([
      "CONTROL3",
      "CONTROL7",
      "HIGH4",
      "HIGH6",
      "NORMAL2",
      "NORMAL8",
      "LOW1",
      "LOW5",
    ]);
    expect(await standingOf(client)).toMatchObject({ order, scannedSequence: 8n, outstandingCount: 8n });
    consumer.cancel();
  });

  test("keeps that order however few may be outstanding, and shows what it has passed over as not scanned", async () => {
    await using running = await start();
    const { client } = running;
    await sendLevels(client, LOW, NORMAL, HIGH, LOW, HIGH, NORMAL);
    using consumer = byPriority(client, { maxOutstanding: 1 });
    const first = await untilDelivered(consumer, 1);
    expect(await standingOf(client)).toMatchObject({ scannedSequence: 0n, outstandingCount: 1n });
    await acknowledge(client, ack(first));
    for (let count = 2; count <= 6; count += 1) await acknowledge(client, ack(await untilDelivered(consumer, count)));
    expect(messagesOf(consumer)).toEqual(["HIGH3", "HIGH5", "NORMAL2", "NORMAL6", "LOW1", "LOW4"]);
    expect(await standingOf(client)).toMatchObject({ scannedSequence: 6n, deliveryLag: 0n, outstandingCount: 0n });
    consumer.cancel();
  });

  test("hands a CONTROL signal out past 10,000 pending ones at once, though no more of them may be outstanding", async () => {
    await using running = await start("--max-history-signals", "20000");
    const { client } = running;
    await sendMany(client, 10_000, NORMAL);
    using consumer = byPriority(client, { maxOutstanding: 5 });
    await untilDelivered(consumer, 5);
    await sendLevels(client, CONTROL);
    expect(await untilDelivered(consumer, 6)).toMatchObject({ message: "CONTROL1", sequence: 10_001n });
    expect(await standingOf(client)).toMatchObject({ scannedSequence: 5n, outstandingCount: 6n });
    await acknowledge(client, ack(await untilDelivered(consumer, 6)));
    await acknowledge(client, ack(await untilDelivered(consumer, 1)));
    expect(await untilDelivered(consumer, 7)).toMatchObject({ sequence: 6n });
    consumer.cancel();
  });

  test("has no more than 1,000 CONTROL signals outstanding beside the others", async () => {
    await using running = await start();
    const { client } = running;
    await sendMany(client, 1_100, CONTROL);
    await sendLevels(client, LOW);
    using consumer = byPriority(client, { maxOutstanding: 1 });
    await consumer.untilSignals(1_001);
    await eventually(async () => expect(await standingOf(client)).toMatchObject({ outstandingCount: 1_001n }));
    const low = deliveredTo(consumer).filter(({ message }) => message === "LOW1");
    expect(low).toHaveLength(1);
    const control = deliveredTo(consumer).find(({ message }) => message !== "LOW1") as DeliveredSignal;
    await acknowledge(client, ack(control));
    expect(await untilDelivered(consumer, 1_002)).toMatchObject({ message: "CONTROL0", sequence: 1_001n });
    consumer.cancel();
  });

  test("counts CONTROL among the outstanding in the order of the log, which nothing overtakes", async () => {
    await using running = await start();
    const { client } = running;
    await sendLevels(client, CONTROL, CONTROL, CONTROL);
    using consumer = openConsumer(client, { maxOutstanding: 2 });
    const first = await untilDelivered(consumer, 1);
    await untilDelivered(consumer, 2);
    expect(await standingOf(client)).toMatchObject({
      order: DeliveryOrder.SEQUENCE,
      scannedSequence: 2n,
      outstandingCount: 2n,
    });
    await acknowledge(client, ack(first));
    expect(await untilDelivered(consumer, 3)).toMatchObject({ message: "CONTROL3" });
    consumer.cancel();
  });

  test.each([
    { maxOutstanding: 10, levels: [HIGH, NORMAL, LOW], shares: [0, 800, 100, 100] },
    { maxOutstanding: 1_000, levels: [CONTROL, HIGH, NORMAL, LOW], shares: [700, 100, 100, 100] },
  ])(
    "lets none starve: where $maxOutstanding may be outstanding, the first 1,000 are $shares of the levels",
    async (parts) => {
      await using running = await start();
      const { client } = running;
      const { maxOutstanding, levels, shares } = parts;
      for (const level of levels) await sendMany(client, 1_500, level);
      using consumer = byPriority(client, { maxOutstanding });
      const got: Priority[] = [];
      while (got.length < 1_000) {
        const { value } = await consumer.until("batch");
        got.push(...value.signals.map(({ priority }) => priority));
        await acknowledge(client, ...value.deliveries.map(({ deliveryId }) => ({ deliveryId })));
      }
      const first = got.slice(0, 1_000);
      const counts = [CONTROL, HIGH, NORMAL, LOW].map((level) => first.filter((each) => each === level).length);
      expect(counts).toEqual(shares);
      consumer.cancel();
    },
  );

  test("delivers again on its level what was refused, redriven or left by a consumer that is gone", async () => {
    await using running = await start();
    const { client } = running;
    await sendLevels(client, HIGH, HIGH, LOW, LOW);
    const policy = { maxOutstanding: 1, minBackoffMs: 0 };
    using consumer = byPriority(client, policy);
    await acknowledge(client, nack(await untilDelivered(consumer, 1), 0));
    const again = await untilDelivered(consumer, 2);
    expect(again).toMatchObject({ message: "HIGH1", attempt: 2 });
    await acknowledge(client, reject(again));
    await acknowledge(client, ack(await untilDelivered(consumer, 3)));
    expect(await untilDelivered(consumer, 4)).toMatchObject({ message: "LOW3" });
    await client.signals.redriveDeadLetters(named);
    consumer.cancel();
    using heir = byPriority(client, policy);
    expect(await workThrough(client, heir, 3)).toEqual(["HIGH1", "LOW3", "LOW4"]);
    heir.cancel();
  });

  test("makes dead letters of what leaves the store untaken, and not of what was taken before what it overtook", async () => {
    await using running = await start("--max-history-signals", "10");
    const { client } = running;
    await client.signals.createSubscription({ ...named, order, ackPolicy: policyOf({ maxOutstanding: 1 }) });
    await sendLevels(client, LOW, HIGH, LOW, HIGH);
    using consumer = openConsumer(client, { maxOutstanding: 1 }, { order, start: { case: undefined } });
    expect(await workThrough(client, consumer, 1)).toEqual(["HIGH2"]);
    expect(await untilDelivered(consumer, 2)).toMatchObject({ message: "HIGH4" });
    await sendMessages(client, numbers(300), { priority: LOW });
    const letters = await eventually(async () => {
      const found = await client.signals.listDeadLetters({ ...named, pageSize: 1_000 });
      expect(found.deadLetters.at(-1)?.sequence).toBe(4n);
      return found.deadLetters;
    });
    // HIGH4 was in a consumer's hands; LOW1 and LOW3 nobody had; HIGH2 was done.
    expect(letters.map(({ sequence }) => sequence).filter((sequence) => sequence <= 4n)).toEqual([3n, 1n, 4n]);
    for (const { reason } of letters) expect(reason).toBe(DeadLetterReason.RETENTION);
    consumer.cancel();
  });

  test("ends with ROLLED_BACK for who had what is gone, though less urgent signals before it still waited", async () => {
    await using running = await start();
    const { client } = running;
    await sendLevels(client, LOW, LOW, HIGH);
    using consumer = byPriority(client, { maxOutstanding: 1 });
    const gone = await untilDelivered(consumer, 1);
    await client.state.rollbackCoordination({ coordinationId, toSequence: 2n });
    expect(refusalFrom(await consumer.untilEnd())).toMatchObject({
      reason: "ROLLED_BACK",
      metadata: { resume_after_sequence: "2" },
    });
    expect(await acknowledge(client, ack(gone))).toEqual(["ACK_EXPIRED"]);
    await sendLevels(client, HIGH);
    using next = byPriority(client, { maxOutstanding: 1 });
    // The one that the place of the lost one was given to may be LOW1: it is outstanding then.
    expect([...(await workThrough(client, next, 3))].sort()).toEqual(["HIGH1", "LOW1", "LOW2"]);
    next.cancel();
  });

  test("tells every consumer ranges that join, and ends them when all of a closed coordination is settled", async () => {
    await using running = await start();
    const { client } = running;
    await sendLevels(client, LOW, HIGH, NORMAL);
    using consumer = byPriority(client, { maxOutstanding: 1 });
    await workThrough(client, consumer, 2);
    const last = await untilDelivered(consumer, 3);
    await client.coordinations.closeCoordination({ coordinationId });
    await acknowledge(client, ack(last));
    expect(await consumer.untilEnd()).toBeUndefined();
    let through: bigint | undefined;
    for (const { case: is, value } of consumer.items) {
      if (is !== "batch" && is !== "checkpoint") continue;
      if (through !== undefined) expect(value.afterSequence).toBe(through);
      through = value.throughSequence;
    }
    expect(through).toBe(3n);
  });

  test("gives both of two consumers work of every level", async () => {
    await using running = await start();
    const { client } = running;
    using one = byPriority(client);
    using other = byPriority(client);
    for (const each of [one, other]) await each.until("caughtUp");
    const reading = [one, other].map((each) => each.until("batch"));
    await client.signals.batchSendSignals({
      atomic: true,
      requests: [LOW, LOW, CONTROL, CONTROL].map((priority, index) => ({
        coordinationId,
        senderAgentId: "sender",
        priority,
        event: { case: "interAgentMessage" as const, value: { message: `${index}` } },
      })),
    });
    await Promise.all(reading);
    for (const each of [one, other]) {
      expect(each.signals.map(({ priority }) => priority)).toEqual([CONTROL, LOW]);
      each.cancel();
    }
  });
});

describe("a server that is killed amid an order of priority", () => {
  test("goes on exactly where every level was, and with what the less urgent are owed", async () => {
    await using directory = await temporaryDirectory();
    const flags = ["--store", `lmdb:${directory.path}`];
    const killed = await spawnServer(flags);
    const before = grpc.connect(killed.url);
    await sendMany(before, 3, LOW);
    await sendMany(before, 1_000, HIGH);
    const consumer = byPriority(before, { maxOutstanding: 100 });
    const done: string[] = [];
    while (done.length < 800) {
      const { value } = await consumer.until("batch");
      done.push(...value.signals.map(({ sequence }) => `${sequence}`));
      await acknowledge(before, ...value.deliveries.map(({ deliveryId }) => ({ deliveryId })));
    }
    killed.kill("SIGKILL");
    await killed.exited;
    before.disconnect();
    await using server = await spawnServer(flags);
    using client = grpc.connect(server.url);
    using next = byPriority(client, { maxOutstanding: 100 });
    const rest: string[] = [];
    while (new Set([...done, ...rest]).size < 1_003) {
      const { value } = await next.until("batch");
      rest.push(...value.signals.map(({ sequence }) => `${sequence}`));
      await acknowledge(client, ...value.deliveries.map(({ deliveryId }) => ({ deliveryId })));
    }
    // Of what was acknowledged nothing comes again, of the rest nothing is missing.
    expect(rest.filter((sequence) => done.includes(sequence))).toEqual([]);
    // LOW waits for 900 HIGH ones, those before the kill among them.
    expect(rest.findIndex((sequence) => Number(sequence) <= 3)).toBe(900 - done.length);
    next.cancel();
  });
});

const describeShared = postgres === undefined ? describe.skip : describe;

describeShared("an order of priority on two servers that share a database", () => {
  test("hands each signal to one consumer, the most urgent first, and the position is one", async () => {
    if (postgres === undefined) return;
    const url = await postgres.createDatabase();
    await using one = await startTestServer(["--store", url]);
    await using other = await startTestServer(["--store", url]);
    using here = grpc.connect(one.url);
    using there = grpc.connect(other.url);
    await sendMany(here, 20, LOW);
    await sendMany(here, 20, HIGH);
    using mine = byPriority(here, { maxOutstanding: 2 });
    using theirs = byPriority(there, { maxOutstanding: 2 });
    const done: bigint[] = [];
    const work = async (client: TestClient, consumer: TestSubscription): Promise<void> => {
      for (let count = 1; ; count += 1) {
        const delivered = await untilDelivered(consumer, count);
        expect(delivered.attempt).toBe(1);
        expect(await acknowledge(client, ack(delivered))).toEqual(["taken"]);
        done.push(delivered.sequence);
      }
    };
    const working = [work(here, mine), work(there, theirs)].map((each) => each.catch((error: unknown) => error));
    await eventually(() => expect(done).toHaveLength(40));
    expect(new Set(done).size).toBe(40);
    // What both have in their hands at the same time is acknowledged in any order.
    expect(done.slice(0, 18).every((sequence) => sequence > 20n)).toBe(true);
    await eventually(async () =>
      expect(await standingOf(there)).toMatchObject({ scannedSequence: 40n, outstandingCount: 0n }),
    );
    for (const consumer of [mine, theirs]) consumer.cancel();
    for (const end of await Promise.all(working)) expect(refusalFrom(end)).toMatchObject({ code: "Canceled" });
  });
});
