import { DeadLetterReason } from "@coordination-signals/proto/coordination/v1/acknowledgement";
import { SignalType } from "@coordination-signals/proto/coordination/v1/signal";
import { afterAll, describe, expect, test } from "@jest/globals";
import { eventually } from "../support/eventually.js";
import { refusalFrom, refusalOf } from "../support/refusal.js";
import { scrapeMetrics } from "../support/scrape-metrics.js";
import { spawnServer } from "../support/spawned-server.js";
import { temporaryDirectory } from "../support/temporary-directory.js";
import { grpc, type TestClient } from "../support/test-client.js";
import { openTestPostgres } from "../support/test-postgres.js";
import { startTestServer, type TestServer } from "../support/test-server.js";
import { checkRangesJoin } from "../support/test-subscription.js";
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

const postgres = await openTestPostgres();

afterAll(async () => postgres?.[Symbol.asyncDispose]());

const named = { coordinationId, subscription };

/** Where a server keeps its data, for tests that start another one on it. */
interface StoreKind {
  readonly name: string;
  readonly open: () => Promise<AsyncDisposable & { readonly url: string }>;
}

const memory: StoreKind = {
  name: "memory",
  open: async () => ({ url: "memory:", [Symbol.asyncDispose]: async () => undefined }),
};
const lmdb: StoreKind = {
  name: "LMDB",
  open: async () => {
    const directory = await temporaryDirectory();
    return { url: `lmdb:${directory.path}`, [Symbol.asyncDispose]: () => directory[Symbol.asyncDispose]() };
  },
};
const shared: readonly StoreKind[] =
  postgres === undefined
    ? []
    : [
        {
          name: "PostgreSQL",
          open: async () => ({ url: await postgres.createDatabase(), [Symbol.asyncDispose]: async () => undefined }),
        },
      ];
const stores = [memory, lmdb, ...shared];
const durableStores = [lmdb, ...shared];

const startOn = ({ url }: { readonly url: string }, ...flags: readonly string[]) =>
  startTestServer(["--store", url, ...flags]);

async function untilOutstanding(client: TestClient, count: bigint): Promise<void> {
  await eventually(async () => expect((await standingOf(client)).outstandingCount).toBe(count));
}

describe.each(stores)("an acknowledged subscription in $name", ({ open }) => {
  async function start(
    ...flags: readonly string[]
  ): Promise<AsyncDisposable & { server: TestServer; client: TestClient }> {
    const store = await open();
    const server = await startOn(store, ...flags);
    const client = grpc.connect(server.url);
    return {
      server,
      client,
      [Symbol.asyncDispose]: async () => {
        client.disconnect();
        await server[Symbol.asyncDispose]();
        await store[Symbol.asyncDispose]();
      },
    };
  }

  test("delivers each signal with an id, its attempt and its deadline, and is done with it when it is acknowledged", async () => {
    await using running = await start();
    const { client } = running;
    await sendMessages(client, ["a", "b", "c"]);
    using consumer = openConsumer(client);
    await untilDelivered(consumer, 3);
    const delivered = deliveredTo(consumer);
    expect(delivered.map(({ message, attempt }) => [message, attempt])).toEqual([
      ["a", 1],
      ["b", 1],
      ["c", 1],
    ]);
    for (const { deadlineMs } of delivered) expect(deadlineMs).toBeGreaterThan(Date.now());
    expect(await acknowledge(client, ...delivered.map(ack))).toEqual(["taken", "taken", "taken"]);
    expect(await standingOf(client)).toMatchObject({ outstandingCount: 0n, scannedSequence: 3n, consumerCount: 1n });
    expect(await acknowledge(client, ...delivered.map(ack))).toEqual(["ACK_EXPIRED", "ACK_EXPIRED", "ACK_EXPIRED"]);
    checkRangesJoin(consumer.items);
  });

  test("goes on where it was when a consumer comes back, by its name alone", async () => {
    await using running = await start();
    const { client } = running;
    await sendMessages(client, ["a"]);
    using first = openConsumer(client);
    await acknowledge(client, ack(await untilDelivered(first, 1)));
    first.cancel();
    await sendMessages(client, ["b"]);
    using second = openConsumer(client);
    expect(await untilDelivered(second, 1)).toMatchObject({ message: "b", attempt: 1 });
  });

  test("delivers again what was refused, once its delay has passed, and tells the attempt", async () => {
    await using running = await start();
    const { client } = running;
    await sendMessages(client, ["a"]);
    using consumer = openConsumer(client);
    const first = await untilDelivered(consumer, 1);
    expect(await acknowledge(client, nack(first, 1, "not yet"))).toEqual(["taken"]);
    const second = await untilDelivered(consumer, 2);
    expect(second).toMatchObject({ message: "a", attempt: 2 });
    expect(second.deliveryId).not.toBe(first.deliveryId);
    expect(await acknowledge(client, ack(first), ack(second))).toEqual(["ACK_EXPIRED", "taken"]);
  });

  test("delivers again what nobody acknowledges within the deadline, and a late acknowledgement settles nothing", async () => {
    await using running = await start();
    const { client } = running;
    await sendMessages(client, ["a"]);
    using consumer = openConsumer(client, { deadlineMs: 200 });
    const first = await untilDelivered(consumer, 1);
    const second = await untilDelivered(consumer, 2);
    expect(second).toMatchObject({ message: "a", attempt: 2 });
    expect(await acknowledge(client, ack(first))).toEqual(["ACK_EXPIRED"]);
    expect(await standingOf(client)).toMatchObject({ outstandingCount: 1n });
  });

  test("keeps a delivery a consumer's own for as long as it is extended", async () => {
    await using running = await start();
    const { client } = running;
    await sendMessages(client, ["a"]);
    using consumer = openConsumer(client, { deadlineMs: 400 });
    const delivered = await untilDelivered(consumer, 1);
    const { results } = await client.signals.acknowledgeSignals({
      ...named,
      acknowledgements: [extend(delivered, 60_000)],
    });
    expect(Number(results[0]?.deadline?.seconds)).toBeGreaterThan(Date.now() / 1_000 + 50);
    await sendMessages(client, ["b"]);
    // Its own deadline passes, and that of "a" would have before.
    await untilDelivered(consumer, 3);
    expect(deliveredTo(consumer).map(({ message, attempt }) => [message, attempt])).toEqual([
      ["a", 1],
      ["b", 1],
      ["b", 2],
    ]);
    expect(await acknowledge(client, ack(delivered))).toEqual(["taken"]);
  });

  test("parks a signal after exactly so many attempts, and redrives it with its attempts starting again", async () => {
    await using running = await start();
    const { client } = running;
    await sendMessages(client, ["poison", "fine"]);
    using consumer = openConsumer(client, { attempts: 3 });
    await untilDelivered(consumer, 2);
    const [poison, fine] = deliveredTo(consumer);
    if (poison === undefined || fine === undefined) throw new Error("nothing was delivered");
    await acknowledge(client, ack(fine), nack(poison, 0));
    await acknowledge(client, nack(await untilDelivered(consumer, 3), 0, "no"));
    expect(await acknowledge(client, nack(await untilDelivered(consumer, 4), 0, "never"))).toEqual(["dead"]);
    const { deadLetters: letters, deadLetterCount } = await deadLetters(client);
    expect(deadLetterCount).toBe(1n);
    expect(letters).toMatchObject([
      { subscription, sequence: 1n, reason: DeadLetterReason.MAX_ATTEMPTS, detail: "never", attempts: 3 },
    ]);
    expect(letters[0]?.signal?.event.value).toMatchObject({ message: "poison" });
    expect(letters[0]?.firstDeliveryTime).toBeDefined();
    expect((await client.coordinations.getCoordination({ coordinationId })).deadLetterCount).toBe(1n);
    expect(await client.signals.redriveDeadLetters(named)).toMatchObject({ redrivenCount: 1n });
    expect(await untilDelivered(consumer, 5)).toMatchObject({ message: "poison", attempt: 1 });
    expect(await deadLetters(client)).toMatchObject({ deadLetters: [], deadLetterCount: 0n });
    expect(await acknowledge(client, nack(poison))).toEqual(["ACK_EXPIRED"]);
  });

  test("parks at once what is rejected, with the reason", async () => {
    await using running = await start();
    const { client } = running;
    await sendMessages(client, ["a"]);
    using consumer = openConsumer(client);
    expect(await acknowledge(client, reject(await untilDelivered(consumer, 1), "malformed"))).toEqual(["dead"]);
    expect((await deadLetters(client)).deadLetters).toMatchObject([
      { reason: DeadLetterReason.REJECTED, detail: "malformed", attempts: 1 },
    ]);
    await untilOutstanding(client, 0n);
  });

  test("gives each signal to one of its consumers, and both have work", async () => {
    await using running = await start();
    const { client } = running;
    using one = openConsumer(client);
    using other = openConsumer(client);
    await Promise.all([one.until("caughtUp"), other.until("caughtUp")]);
    await sendMessages(
      client,
      Array.from({ length: 10 }, (_, index) => `${index}`),
    );
    await Promise.all([one.untilSignals(5), other.untilSignals(5)]);
    const sequences = [...one.signals, ...other.signals].map(({ sequence }) => sequence);
    expect(new Set(sequences).size).toBe(10);
    expect(await standingOf(client)).toMatchObject({ consumerCount: 2n, leasedCount: 10n });
    for (const consumer of [one, other]) checkRangesJoin(consumer.items);
  });

  test("gives what a consumer had to another one at once when it goes away, and counts the attempt", async () => {
    await using running = await start();
    const { client } = running;
    await sendMessages(client, ["a"]);
    using leaving = openConsumer(client, { deadlineMs: 3_600_000 });
    const lost = await untilDelivered(leaving, 1);
    using staying = openConsumer(client, { deadlineMs: 3_600_000 });
    await staying.until("subscribed");
    leaving.cancel();
    expect(await untilDelivered(staying, 1)).toMatchObject({ message: "a", attempt: 2 });
    expect(await acknowledge(client, ack(lost))).toEqual(["ACK_EXPIRED"]);
  });

  test("has no more outstanding than it may", async () => {
    await using running = await start();
    const { client } = running;
    await sendMessages(client, ["a", "b", "c"]);
    using consumer = openConsumer(client, { maxOutstanding: 2 });
    await untilDelivered(consumer, 2);
    const [first] = deliveredTo(consumer);
    if (first === undefined) throw new Error("nothing was delivered");
    expect(await standingOf(client)).toMatchObject({ outstandingCount: 2n, scannedSequence: 2n, deliveryLag: 1n });
    await acknowledge(client, ack(first));
    expect(await untilDelivered(consumer, 3)).toMatchObject({ message: "c" });
  });

  test("counts no time behind max_outstanding as propagation", async () => {
    await using running = await start();
    const { server, client } = running;
    const measured = async () =>
      (await scrapeMetrics(server.url)).value("coordination_signal_propagation_seconds_count");
    await sendMessages(client, ["before"]);
    using consumer = openConsumer(client, { maxOutstanding: 1 });
    await acknowledge(client, ack(await untilDelivered(consumer, 1)));
    await consumer.until("caughtUp");
    await sendMessages(client, ["a", "waits", "waits too"]);
    for (const count of [2, 3, 4]) await acknowledge(client, ack(await untilDelivered(consumer, count)));
    await untilOutstanding(client, 0n);
    await sendMessages(client, ["b"]);
    await untilDelivered(consumer, 5);
    await sendMessages(client, ["waits"]);
    await acknowledge(client, ack(await untilDelivered(consumer, 5)));
    await untilDelivered(consumer, 6);
    // A batch is counted when the next item is asked for: "a" and "b", and of the last one nothing.
    await eventually(async () => expect(await measured()).toBe(2));
  });

  test("delivers what matches its filter only, and not its agent's own signals", async () => {
    await using running = await start();
    const { client } = running;
    await sendMessages(client, ["a"]);
    await client.signals.sendSignal({
      coordinationId,
      senderAgentId: "worker",
      event: { case: "interAgentMessage", value: { message: "own" } },
    });
    await client.signals.sendSignal({
      coordinationId,
      senderAgentId: "sender",
      event: { case: "agentCompleted", value: {} },
    });
    await sendMessages(client, ["b"]);
    const filter = { signalTypes: [SignalType.INTER_AGENT_MESSAGE] };
    using consumer = openConsumer(client, {}, { agentId: "worker", filter });
    await consumer.until("caughtUp");
    expect(deliveredTo(consumer).map(({ message }) => message)).toEqual(["a", "b"]);
    await acknowledge(client, ...deliveredTo(consumer).map(ack));
    expect(await standingOf(client)).toMatchObject({ outstandingCount: 0n, scannedSequence: 4n });
  });

  test("makes dead letters of what leaves the store before it is acknowledged, delivered or not, with a copy", async () => {
    await using running = await start("--max-history-signals", "10");
    const { client } = running;
    await client.signals.createSubscription({ ...named, ackPolicy: policyOf({ maxOutstanding: 1 }) });
    await sendMessages(client, ["delivered", "never delivered"]);
    using consumer = openConsumer(client, { maxOutstanding: 1 }, { start: { case: undefined } });
    const delivered = await untilDelivered(consumer, 1);
    await sendMessages(
      client,
      Array.from({ length: 300 }, (_, index) => `${index}`),
    );
    await eventually(async () => expect((await deadLetters(client)).deadLetterCount).toBe(256n));
    const letters = await client.signals.listDeadLetters({ coordinationId, pageSize: 1_000 });
    expect(letters.deadLetters.slice(-2)).toMatchObject([
      { sequence: 2n, reason: DeadLetterReason.RETENTION, attempts: 0 },
      { sequence: 1n, reason: DeadLetterReason.RETENTION, attempts: 1 },
    ]);
    expect(letters.deadLetters.at(-1)?.signal?.event.value).toMatchObject({ message: "delivered" });
    expect(await acknowledge(client, ack(delivered))).toEqual(["ACK_EXPIRED"]);
    await client.signals.redriveDeadLetters({ ...named, sequences: [2n] });
    await eventually(async () => {
      const next = await untilDelivered(consumer, deliveredTo(consumer).length + 1);
      await acknowledge(client, ack(next));
      expect(next).toMatchObject({ message: "never delivered", attempt: 1 });
    });
  });

  test("ends its consumers when everything of a closed coordination is settled", async () => {
    await using running = await start();
    const { client } = running;
    await sendMessages(client, ["a"]);
    using consumer = openConsumer(client);
    const delivered = await untilDelivered(consumer, 1);
    await client.coordinations.closeCoordination({ coordinationId });
    await acknowledge(client, ack(delivered));
    expect(await consumer.untilEnd()).toBeUndefined();
  });

  test("forgets what a rollback takes out, ends its consumers, and goes on with what follows", async () => {
    await using running = await start();
    const { client } = running;
    await sendMessages(client, ["kept", "wrong", "worse"]);
    using consumer = openConsumer(client);
    await untilDelivered(consumer, 3);
    const [kept, wrong, worse] = deliveredTo(consumer);
    if (kept === undefined || wrong === undefined || worse === undefined) throw new Error("nothing was delivered");
    await acknowledge(client, reject(worse));
    await client.state.rollbackCoordination({ coordinationId, toSequence: 1n });
    expect(refusalFrom(await consumer.untilEnd())).toMatchObject({
      reason: "ROLLED_BACK",
      metadata: { resume_after_sequence: "1" },
    });
    expect(await acknowledge(client, ack(wrong))).toEqual(["ACK_EXPIRED"]);
    expect((await deadLetters(client)).deadLetterCount).toBe(0n);
    await sendMessages(client, ["right"]);
    using next = openConsumer(client);
    await untilDelivered(next, 2);
    expect(deliveredTo(next).map(({ message, attempt }) => [message, attempt])).toEqual([
      ["kept", 2],
      ["right", 1],
    ]);
  });

  test("ends its consumers when it, or its coordination, is deleted", async () => {
    await using running = await start();
    const { client } = running;
    await sendMessages(client, ["a"]);
    using consumer = openConsumer(client);
    const delivered = await untilDelivered(consumer, 1);
    await client.signals.deleteSubscription(named);
    expect(refusalFrom(await consumer.untilEnd())).toMatchObject({
      code: "NotFound",
      reason: "SUBSCRIPTION_NOT_FOUND",
    });
    expect(await refusalOf(acknowledge(client, ack(delivered)))).toMatchObject({ reason: "SUBSCRIPTION_NOT_FOUND" });
    using again = openConsumer(client);
    expect(await untilDelivered(again, 1)).toMatchObject({ message: "a", attempt: 1 });
    // What the subscription that had the name before delivered is none of this one's.
    expect(await acknowledge(client, ack(delivered))).toEqual(["NOT_DELIVERED"]);
    await client.coordinations.deleteCoordination({ coordinationId });
    expect(refusalFrom(await again.untilEnd())).toMatchObject({ reason: "COORDINATION_NOT_FOUND" });
    expect(await refusalOf(acknowledge(client, ack(delivered)))).toMatchObject({ reason: "COORDINATION_NOT_FOUND" });
  });
});

describe.each(durableStores)("a server that starts again on its data in $name", ({ open }) => {
  test("delivers at once what its consumers had, and keeps what was settled, refused and parked", async () => {
    await using store = await open();
    const first = await startOn(store);
    const before = grpc.connect(first.url);
    await sendMessages(before, ["done", "held", "refused", "parked"]);
    const consumer = openConsumer(before, { deadlineMs: 2_000, minBackoffMs: 0 });
    await untilDelivered(consumer, 4);
    const [done, , refused, parked] = deliveredTo(consumer);
    if (done === undefined || refused === undefined || parked === undefined) throw new Error("nothing was delivered");
    await acknowledge(before, ack(done), nack(refused, 1, "busy"), reject(parked, "malformed"));
    before.disconnect();
    await first.stop();
    await using second = await startOn(store);
    using client = grpc.connect(second.url);
    using next = openConsumer(client, { deadlineMs: 2_000, minBackoffMs: 0 });
    await untilDelivered(next, 2);
    const again = deliveredTo(next).map(({ message }) => message);
    expect([...again].sort()).toEqual(["held", "refused"]);
    expect((await deadLetters(client)).deadLetters).toMatchObject([{ detail: "malformed", sequence: 4n }]);
    expect((await client.signals.listSubscriptions({ coordinationId })).subscriptions).toMatchObject([
      { subscription, scannedSequence: 4n, deadLetterCount: 1n },
    ]);
    next.cancel();
  });
});

describe("a server that is killed between a delivery and its acknowledgement", () => {
  test("delivers it again at once, as the next attempt, and takes no acknowledgement of the one before", async () => {
    await using directory = await temporaryDirectory();
    const flags = ["--store", `lmdb:${directory.path}`];
    const killed = await spawnServer(flags);
    const before = grpc.connect(killed.url);
    await sendMessages(before, ["a"]);
    const consumer = openConsumer(before, { deadlineMs: 3_600_000 });
    const lost = await untilDelivered(consumer, 1);
    killed.kill("SIGKILL");
    await killed.exited;
    before.disconnect();
    await using server = await spawnServer(flags);
    using client = grpc.connect(server.url);
    using next = openConsumer(client, { deadlineMs: 3_600_000 });
    const again = await untilDelivered(next, 1);
    expect(again).toMatchObject({ message: "a", attempt: 2 });
    expect(await acknowledge(client, ack(lost), ack(again))).toEqual(["ACK_EXPIRED", "taken"]);
    next.cancel();
  });
});

const describeShared = postgres === undefined ? describe.skip : describe;

describeShared("consumers of one subscription on two servers that share a database", () => {
  test("never have one signal at the same time, and what one server's consumer leaves the other's gets", async () => {
    if (postgres === undefined) return;
    const url = await postgres.createDatabase();
    await using one = await startOn({ url });
    await using other = await startOn({ url });
    using here = grpc.connect(one.url);
    using there = grpc.connect(other.url);
    using mine = openConsumer(here, { maxOutstanding: 4 });
    using theirs = openConsumer(there, { maxOutstanding: 4 });
    await Promise.all([mine.until("subscribed"), theirs.until("subscribed")]);
    const total = 40;
    await sendMessages(
      here,
      Array.from({ length: total }, (_, index) => `${index}`),
    );
    const done = new Set<bigint>();
    const work = async (client: TestClient, consumer: typeof mine): Promise<void> => {
      for (let count = 1; ; count += 1) {
        const delivered = await untilDelivered(consumer, count);
        expect(delivered.attempt).toBe(1);
        expect(await acknowledge(client, ack(delivered))).toEqual(["taken"]);
        expect(done.has(delivered.sequence)).toBe(false);
        done.add(delivered.sequence);
      }
    };
    const working = [work(here, mine), work(there, theirs)].map((each) => each.catch((error: unknown) => error));
    await eventually(() => expect(done.size).toBe(total));
    await untilOutstanding(there, 0n);
    for (const consumer of [mine, theirs]) consumer.cancel();
    const ends = await Promise.all(working);
    for (const end of ends) expect(refusalFrom(end)).toMatchObject({ code: "Canceled" });
    using leaving = openConsumer(here, { maxOutstanding: 4 });
    await sendMessages(here, ["last"]);
    const lost = await untilDelivered(leaving, 1);
    using heir = openConsumer(there, { maxOutstanding: 4 });
    await heir.until("subscribed");
    leaving.cancel();
    expect(await untilDelivered(heir, 1)).toMatchObject({ sequence: lost.sequence, attempt: 2 });
  });
});
