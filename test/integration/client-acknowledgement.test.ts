/** Named subscriptions, workers and dead letters as users of the SDK have them: against the real server, over every protocol. */
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "@jest/globals";
import * as browser from "../../client-sdk/src/browser.js";
import {
  AckExpiredError,
  type AckOptions,
  type CoordinationClient,
  type CoordinationSession,
  createCoordinationClient,
  DeadLetterReason,
  type DeliveredSignal,
  NotFoundError,
  PreconditionError,
} from "../../client-sdk/src/index.js";
import { eventually } from "../support/eventually.js";
import { newCoordinationId } from "../support/sample-signals.js";
import { type SpawnedServer, spawnServer } from "../support/spawned-server.js";

const connections: readonly [string, (baseUrl: string) => CoordinationClient][] = [
  ["gRPC", (baseUrl) => createCoordinationClient({ baseUrl })],
  ["gRPC-Web", (baseUrl) => createCoordinationClient({ baseUrl, protocol: "grpc-web" })],
  ["Connect", (baseUrl) => createCoordinationClient({ baseUrl, protocol: "connect" })],
  ["Connect by fetch", (baseUrl) => browser.createCoordinationClient({ baseUrl })],
];

/** Refused deliveries come again at once. */
const eager: AckOptions = { minBackoffMs: 0, maxBackoffMs: 0, maxDeliveryAttempts: 3 };

async function take(
  subscription: { next(): Promise<IteratorResult<DeliveredSignal, undefined>> },
  count: number,
): Promise<readonly DeliveredSignal[]> {
  const taken: DeliveredSignal[] = [];
  while (taken.length < count) {
    const { value, done } = await subscription.next();
    if (done === true) throw new Error(`the subscription ended after ${taken.length} of ${count} signals`);
    taken.push(value);
  }
  return taken;
}

/** Sends so many messages, numbered from 1. */
async function ask(session: CoordinationSession, count: number): Promise<void> {
  const numbers = Array.from({ length: count }, (_, index) => index + 1);
  await Promise.all(numbers.map((number) => session.message({ messageType: "task", message: String(number) })));
}

describe.each(connections)("acknowledged subscriptions by %s", (_, connect) => {
  let server: SpawnedServer;
  let client: CoordinationClient;
  beforeAll(async () => {
    server = await spawnServer();
    client = connect(server.url);
  });
  afterAll(async () => {
    await client.close();
    await server.stop();
  });

  /** An agent that asks, and two lives of one that works. */
  function agents() {
    const id = newCoordinationId();
    const worker = () => client.coordination(id, { agentId: "worker" });
    return { asker: client.coordination(id, { agentId: "asker" }), first: worker(), second: worker() };
  }

  test("a send that requires acknowledgements resolves when the agents that it names have done the work", async () => {
    const { asker, first } = agents();
    const done: string[] = [];
    await using worker = first.work({ subscription: "tasks" }, ({ event }) => {
      done.push(event.case ?? "");
    });
    await worker.ready();
    const earlier = asker.message({ messageType: "task" });
    const event = { case: "agentCompleted", value: {} } as const;
    const sent = await asker.send({ event }, { requireAck: ["worker"], timeoutMs: 60_000 });
    expect((await earlier).sequence).toBe(1n);
    expect(sent).toMatchObject({ sequence: 2n, deduplicated: false, timestamp: expect.any(Date) });
    expect(done).toEqual(["interAgentMessage", "agentCompleted"]);
    const again = await asker.message({ messageType: "task" }, { requireAck: ["worker"], requestId: "r" });
    expect(await asker.message({ messageType: "task" }, { requireAck: ["worker"], requestId: "r" })).toEqual({
      ...again,
      deduplicated: true,
    });
  });

  test("a send that nobody acknowledges says who has not, or will not, and where its signal is", async () => {
    const { asker, first } = agents();
    const task = { messageType: "task" };
    await expect(asker.message(task, { requireAck: ["worker"] })).rejects.toMatchObject({
      name: "PreconditionError",
      reason: "NO_RESPONDERS",
    });
    await first.createSubscription({ subscription: "tasks", ack: eager });
    await expect(asker.message(task, { requireAck: ["worker"], timeoutMs: 20 })).rejects.toMatchObject({
      name: "TimeoutError",
      reason: "REQUEST_TIMEOUT",
      metadata: { missing: "worker", sequence: "1" },
    });
    await using worker = first.work({ subscription: "tasks", ack: eager }, ({ delivery }) => delivery.reject("no"));
    await worker.ready();
    const refused = asker.message(task, { requireAck: ["worker"] });
    await expect(refused).rejects.toBeInstanceOf(PreconditionError);
    await expect(refused).rejects.toMatchObject({ reason: "NOT_ACKNOWLEDGED", metadata: { agents: "worker" } });
    await expect(asker.message(task, { timeoutMs: 20 })).rejects.toMatchObject({ reason: "INVALID_REQUEST" });
    const abort = new AbortController();
    abort.abort();
    await expect(asker.message(task, { requireAck: ["worker"], signal: abort.signal })).rejects.toMatchObject({
      name: "CancelledError",
    });
  });

  test("two workers share the work, each signal is done once, and nothing is left", async () => {
    const { asker, first, second } = agents();
    const done: bigint[] = [];
    const options = { subscription: "tasks", from: "earliest", maxConcurrent: 2, ack: { maxOutstanding: 8 } } as const;
    const handler = ({ sequence }: DeliveredSignal) => {
      done.push(sequence);
    };
    await using one = first.work(options, handler);
    await using two = second.work(options, handler);
    await Promise.all([one.ready(), two.ready()]);
    await ask(asker, 200);
    await eventually(async () => {
      const { subscriptions } = await asker.listSubscriptions();
      expect(subscriptions).toMatchObject([{ scannedSequence: 200n, outstandingCount: 0n }]);
    });
    expect(done.toSorted((a, b) => Number(a - b))).toEqual(
      Array.from({ length: 200 }, (_, index) => BigInt(index + 1)),
    );
  });

  test("what is refused comes again, marked, and after its attempts is a dead letter that can be redriven", async () => {
    const { asker, first } = agents();
    await ask(asker, 2);
    const options = { subscription: "tasks", from: "earliest", ack: eager } as const;
    await using subscription = first.subscribe(options);
    const [one, two] = await take(subscription, 2);
    await two?.delivery.reject("not mine");
    expect(await one?.delivery.nack({ reason: "first" })).toMatchObject({ deadLettered: false });
    const [again] = await take(subscription, 1);
    expect(again?.delivery).toMatchObject({ attempt: 2, isRedelivery: true });
    await expect(one?.delivery.ack()).rejects.toBeInstanceOf(AckExpiredError);
    await again?.delivery.nack();
    const [last] = await take(subscription, 1);
    expect(await last?.delivery.nack({ reason: "third" })).toMatchObject({ deadLettered: true });

    const dead = [];
    for await (const letter of asker.deadLetters({ pageSize: 1 })) dead.push(letter);
    expect(dead).toMatchObject([
      { sequence: 1n, reason: DeadLetterReason.MAX_ATTEMPTS, detail: "third", attempts: 3, subscription: "tasks" },
      { sequence: 2n, reason: DeadLetterReason.REJECTED, detail: "not mine", attempts: 1 },
    ]);
    expect(await asker.listDeadLetters({ pageSize: 1 })).toMatchObject({ deadLetterCount: 2n, droppedCount: 0n });
    expect(await asker.redriveDeadLetters({ subscription: "tasks", sequences: [2n] })).toBe(1n);
    const [redriven] = await take(subscription, 1);
    expect(redriven).toMatchObject({ sequence: 2n, delivery: { attempt: 1 } });
    await redriven?.delivery.ack();
    const unknown = asker.redriveDeadLetters({ subscription: "tasks", sequences: [2n] });
    await expect(unknown).rejects.toMatchObject({ name: "NotFoundError", reason: "SIGNAL_NOT_FOUND" });
    expect(await asker.redriveDeadLetters()).toBe(1n);
  });

  test("by priority the most urgent of what waits comes first, and who says another order is refused", async () => {
    const { asker, first, second } = agents();
    const options = { subscription: "tasks", order: "priority", ack: { maxOutstanding: 1 } } as const;
    await first.createSubscription(options);
    for (const priority of ["low", "normal", "high", "control"] as const) {
      await asker.message({ messageType: priority }, { priority });
    }
    await using subscription = first.subscribe(options);
    const types: string[] = [];
    while (types.length < 4) {
      const [signal] = await take(subscription, 1);
      types.push(signal?.event.case === "interAgentMessage" ? signal.event.value.messageType : "");
      await signal?.delivery.ack();
    }
    // There is room for one of the others beside the one that is exempt: they come together.
    expect(types).toEqual(["control", "high", "normal", "low"]);
    await expect(second.subscribe({ ...options, order: "sequence" }).ready()).rejects.toMatchObject({
      reason: "SUBSCRIPTION_CONFLICT",
    });
  });

  test("what a consumer leaves behind goes to another one, and counts as an attempt", async () => {
    const { asker, first, second } = agents();
    await ask(asker, 3);
    const options = { subscription: "tasks", from: "earliest" } as const;
    const leaving = first.subscribe(options);
    const [one] = await take(leaving, 3);
    await one?.delivery.ack();
    await leaving.close();
    await using staying = second.subscribe(options);
    const rest = await take(staying, 2);
    expect(rest.map(({ sequence, delivery }) => [sequence, delivery.attempt])).toEqual([
      [2n, 2],
      [3n, 2],
    ]);
  });

  test("a worker keeps what it is at beyond its deadline", async () => {
    const { asker, first } = agents();
    await ask(asker, 1);
    const attempts: number[] = [];
    const deadlineMs = 1_000;
    const options = { subscription: "tasks", from: "earliest", ack: { deadlineMs } } as const;
    await using worker = first.work(options, async ({ delivery }, lease) => {
      attempts.push(delivery.attempt);
      const deadline = delivery.deadline?.getTime() ?? 0;
      await eventually(() => expect(delivery.deadline?.getTime()).toBeGreaterThan(deadline + deadlineMs));
      expect(lease.aborted).toBe(false);
    });
    await worker.ready();
    await eventually(async () => {
      const { subscriptions } = await asker.listSubscriptions();
      expect(subscriptions).toMatchObject([{ scannedSequence: 1n, outstandingCount: 0n, deadLetterCount: 0n }]);
    });
    expect(attempts).toEqual([1]);
  });

  test("a subscription is made before anything is there to read, found again as it is, and not as it is not", async () => {
    const { asker, first } = agents();
    const options = { subscription: "tasks", types: ["interAgentMessage"], ack: eager } as const;
    const made = await first.createSubscription(options);
    expect(made).toMatchObject({ agentId: "worker", consumerCount: 0n, ackPolicy: { maxDeliveryAttempts: 3 } });
    expect(await first.createSubscription(options)).toMatchObject({ createTime: made.createTime });
    const other = first.createSubscription({ ...options, includeOwn: true });
    await expect(other).rejects.toBeInstanceOf(PreconditionError);
    await expect(other).rejects.toMatchObject({ reason: "SUBSCRIPTION_CONFLICT" });
    await ask(asker, 1);
    await using subscription = first.subscribe(options);
    const [missed] = await take(subscription, 1);
    expect(missed?.sequence).toBe(1n);
    const names: string[] = [];
    for await (const { subscription: name } of asker.subscriptions()) names.push(name);
    expect(names).toEqual(["tasks"]);
    await asker.deleteSubscription("tasks");
    await expect(subscription.next()).rejects.toBeInstanceOf(NotFoundError);
    await expect(asker.deleteSubscription("tasks")).rejects.toMatchObject({ reason: "SUBSCRIPTION_NOT_FOUND" });
    const late = missed?.delivery.ack();
    await expect(late).rejects.toMatchObject({ reason: "SUBSCRIPTION_NOT_FOUND" });
  });

  test("a request that nobody was there for is answered by the next who listens under the name", async () => {
    const { asker, first, second } = agents();
    await first.register({ heartbeat: false });
    const options = { subscription: "asked", messageTypes: ["ask"] } as const;
    const gone = first.onRequest(() => ({ messageType: "answer", message: "from the first" }), options);
    await gone.ready();
    await gone.close();
    const asked = asker.request({ messageType: "ask" }, { recipients: ["worker"] });
    await eventually(async () => expect((await asker.history().page()).signals).toHaveLength(1));
    await using listener = second.onRequest(() => ({ messageType: "answer", message: "from the second" }), options);
    await listener.ready();
    expect((await asked).reply).toMatchObject({ event: { value: { message: "from the second" } } });
  });
});

describe("acknowledged subscriptions while their server dies", () => {
  test("a send that requires acknowledgements goes on waiting, and its signal is stored once", async () => {
    const directory = await mkdtemp(join(tmpdir(), "client-acknowledgement-"));
    const store = ["--store", `lmdb:${directory}`];
    const first = await spawnServer(store);
    await using client = createCoordinationClient({
      baseUrl: first.url,
      retry: { initialDelayMs: 10, maxDelayMs: 50 },
    });
    const asker = client.coordination("c", { agentId: "asker" });
    const agent = client.coordination("c", { agentId: "worker" });
    await agent.createSubscription({ subscription: "tasks", from: "earliest" });
    const sending = asker.message({ messageType: "task" }, { requireAck: ["worker"], timeoutMs: 3_600_000 });
    await eventually(async () => expect((await asker.overview()).coordination?.headSequence).toBe(1n));
    first.kill("SIGKILL");
    await first.exited;
    await using _second = await spawnServer([...store, "--port", String(first.port)]);
    await using worker = agent.work({ subscription: "tasks" }, () => undefined);
    expect(await sending).toMatchObject({ sequence: 1n, deduplicated: true });
    await worker.close();
    expect((await asker.overview()).coordination?.headSequence).toBe(1n);
    await client.close();
    await rm(directory, { recursive: true, force: true });
  });

  test("go on by their name, and everything is done at least once", async () => {
    const directory = await mkdtemp(join(tmpdir(), "client-acknowledgement-"));
    const store = ["--store", `lmdb:${directory}`];
    const first = await spawnServer(store);
    const options = { baseUrl: first.url, retry: { initialDelayMs: 10, maxDelayMs: 50 } };
    await using client = createCoordinationClient(options);
    const asker = client.coordination("c", { agentId: "asker" });
    const agent = client.coordination("c", { agentId: "worker" });
    await ask(asker, 60);
    const done = new Map<bigint, number[]>();
    let killed: Promise<SpawnedServer> | undefined;
    const restart = async () => {
      first.kill("SIGKILL");
      await first.exited;
      return spawnServer([...store, "--port", String(first.port)]);
    };
    const work = {
      subscription: "tasks",
      from: "earliest",
      maxConcurrent: 4,
      ack: { maxDeliveryAttempts: 10 },
    } as const;
    await using worker = agent.work(work, async ({ sequence, delivery }) => {
      done.set(sequence, [...(done.get(sequence) ?? []), delivery.attempt]);
      if (done.size === 20) killed ??= restart();
    });
    await worker.ready();
    await eventually(async () => {
      const { subscriptions } = await asker.listSubscriptions();
      expect(killed).toBeDefined();
      expect(subscriptions).toMatchObject([{ scannedSequence: 60n, outstandingCount: 0n, deadLetterCount: 0n }]);
    });
    await using second = await (killed as Promise<SpawnedServer>);
    expect([...done.keys()].toSorted((a, b) => Number(a - b))).toEqual(
      Array.from({ length: 60 }, (_, index) => BigInt(index + 1)),
    );
    // What had been delivered and was not settled has come again, and says so.
    expect([...done.values()].some((attempts) => attempts.includes(2))).toBe(true);
    expect(second.stderr()).not.toContain('"level":50');
    await worker.close();
    await rm(directory, { recursive: true, force: true });
  });
});
