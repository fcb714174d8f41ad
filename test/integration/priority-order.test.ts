import {
  type CoordinationClient,
  createCoordinationClient,
  type OutOfRangeError,
  type SubscribeOptions,
  type Subscription,
} from "@coordination-signals/client";
import { type CoordinationSignal, Priority } from "@coordination-signals/proto/coordination/v1/signal";
import { DeliveryOrder } from "@coordination-signals/proto/coordination/v1/signal_service";
import { afterAll, beforeAll, describe, expect, test } from "@jest/globals";
import { decodeCursor } from "../../server/src/model/cursor.js";
import { priorityLevels } from "../../server/src/model/priority-level.js";
import { openReplicas } from "../support/replicas-under-test.js";
import { newCoordinationId } from "../support/sample-signals.js";
import { type SpawnedServer, spawnServer } from "../support/spawned-server.js";
import { temporaryDirectory } from "../support/temporary-directory.js";
import { openTestPostgres } from "../support/test-postgres.js";

const { CONTROL, HIGH, NORMAL, LOW } = Priority;
const names = ["low", "normal", "high", "control"] as const;
const message = { messageType: "note", message: "x" };
const range = (count: number): number[] => Array.from({ length: count }, (_, index) => index);

async function send(
  client: CoordinationClient,
  id: string,
  count: number,
  priority: (typeof names)[number],
): Promise<void> {
  await using session = client.coordination(id, { agentId: "sender" });
  await Promise.all(range(count).map(() => session.message(message, { priority })));
}

async function take(subscription: Subscription, count: number): Promise<readonly CoordinationSignal[]> {
  const signals: CoordinationSignal[] = [];
  while (signals.length < count) {
    const { value, done } = await subscription.next();
    if (done) throw new Error(`the subscription ended after ${signals.length} of ${count} signals`);
    signals.push(value);
  }
  return signals;
}

const byPriority = { order: "priority", from: "earliest" } as const satisfies SubscribeOptions;

/** Fails unless these are all of the first `count` signals, once, and each level rises. */
function expectWhole(signals: readonly CoordinationSignal[], count: number): void {
  expect(signals.map(({ sequence }) => Number(sequence)).sort((a, b) => a - b)).toEqual(range(count).map((n) => n + 1));
  for (const level of priorityLevels) {
    const sequences = signals.filter(({ priority }) => priority === level).map(({ sequence }) => Number(sequence));
    expect(sequences).toEqual([...sequences].sort((a, b) => a - b));
  }
}

describe("order of priority on the wire", () => {
  let server: SpawnedServer;
  beforeAll(async () => {
    server = await spawnServer(["--max-history-signals", "20000"]);
  });
  afterAll(async () => server.stop());

  test.each(["grpc", "grpc-web", "connect"] as const)("over %s the most urgent comes first", async (protocol) => {
    await using client = createCoordinationClient({ baseUrl: server.url, protocol });
    const id = newCoordinationId();
    for (const name of names) await send(client, id, 2, name);
    await using subscription = client.coordination(id).subscribe(byPriority);
    const signals = await take(subscription, 8);
    expect(signals.map(({ priority }) => priority)).toEqual([CONTROL, CONTROL, HIGH, HIGH, NORMAL, NORMAL, LOW, LOW]);
  });

  test("a CONTROL signal overtakes 10,000 pending ones, all but what is on its way", async () => {
    await using client = createCoordinationClient({ baseUrl: server.url });
    const id = newCoordinationId();
    await send(client, id, 10_000, "normal");
    await using subscription = client.coordination(id).subscribe(byPriority);
    await take(subscription, 1);
    await send(client, id, 1, "control");
    let overtaking = 1;
    while ((await take(subscription, 1))[0]?.priority !== CONTROL) overtaking += 1;
    // The batch that is being read, one in the connection's window and its reader, and the one that the server has made.
    expect(overtaking).toBeLessThanOrEqual(3_000);
    expect(await take(subscription, 10_000 - overtaking)).toHaveLength(10_000 - overtaking);
  });

  test("a cursor of another order is refused as INVALID_CURSOR, by the server and for its own cursors by the SDK", async () => {
    await using client = createCoordinationClient({ baseUrl: server.url });
    const id = newCoordinationId();
    await send(client, id, 5, "normal");
    for (const [order, other] of [
      ["sequence", "priority"],
      ["priority", "sequence"],
    ] as const) {
      await using subscription = client.coordination(id).subscribe({ order, from: "earliest" });
      await take(subscription, 2);
      const inside = subscription.cursor ?? "";
      await take(subscription, 3);
      const between = subscription.cursor ?? "";
      expect([inside[0], between[0]]).toEqual(["~", expect.not.stringMatching("~")]);
      const refusal = { reason: "INVALID_CURSOR", message: expect.stringContaining(`is of order`) };
      for (const cursor of [inside, between]) {
        const open = async () => client.coordination(id).subscribe({ order: other, from: { cursor } }).ready();
        await expect(open()).rejects.toMatchObject(refusal);
      }
    }
  });

  test("an order that does not exist is INVALID_REQUEST", async () => {
    const response = await fetch(`${server.url}/coordination.v1.SignalService/Subscribe`, {
      method: "POST",
      headers: { "content-type": "application/connect+json" },
      body: envelope({ coordinationId: "c", order: 7 }),
    });
    expect(await response.text()).toContain("INVALID_REQUEST");
    expect(DeliveryOrder[7]).toBeUndefined();
  });

  test("what comes after a rollback is read from the error's cursor, without a loss or a repetition", async () => {
    await using client = createCoordinationClient({ baseUrl: server.url });
    const id = newCoordinationId();
    await send(client, id, 3, "normal");
    await send(client, id, 2, "control");
    await using subscription = client.coordination(id).subscribe(byPriority);
    await take(subscription, 5);
    await client.coordination(id).state.rollBack(4n);
    const failure: unknown = await subscription.next().catch((error: unknown) => error);
    expect(failure).toMatchObject({ reason: "ROLLED_BACK", resumeAfterSequence: 4n });
    const cursor = (failure as OutOfRangeError).resumeCursor ?? "";
    await using resumed = client.coordination(id).subscribe({ order: "priority", from: { cursor } });
    await send(client, id, 1, "low");
    expect((await take(resumed, 1)).map(({ sequence }) => sequence)).toEqual([6n]);
  });
});

test("a subscription in order of priority goes on over a kill of its server, without a loss or a repetition", async () => {
  await using directory = await temporaryDirectory();
  const flags = ["--store", `lmdb:${directory.path}`];
  const first = await spawnServer(flags);
  await using client = createCoordinationClient({
    baseUrl: first.url,
    retry: { initialDelayMs: 20, maxDelayMs: 200 },
  });
  for (const name of names) await send(client, "c", 400, name);
  await using subscription = client.coordination("c").subscribe(byPriority);
  const signals = [...(await take(subscription, 300))];
  first.kill("SIGKILL");
  await first.exited;
  await using second = await spawnServer([...flags, "--port", new URL(first.url).port]);
  expect(second.url).toBe(first.url);
  await send(client, "c", 10, "control");
  signals.push(...(await take(subscription, 1_610 - 300)));
  expectWhole(signals, 1_610);
});

const postgres = await openTestPostgres();
afterAll(async () => postgres?.[Symbol.asyncDispose]());

(postgres === undefined ? describe.skip : describe)("order of priority on several servers", () => {
  test("a cursor of one server resumes on another, level by level", async () => {
    await using replicas = await openReplicas((await postgres?.createDatabase()) ?? "", 2);
    const parts = range(2_500).map((index) => ({ priority: [LOW, NORMAL, HIGH, CONTROL][index % 4] ?? NORMAL }));
    for (let sent = 0; sent < parts.length; sent += 500) await replicas.at(0).sendEach(parts.slice(sent, sent + 500));
    const reader = replicas.at(0).subscribe({ order: "priority", start: { at: "earliest" } });
    await reader.until("batch");
    const start = { at: "cursor", cursor: decodeCursor(reader.cursor) } as const;
    const resumed = replicas.at(1).subscribe({ order: "priority", start });
    await resumed.until("caughtUp");
    const live = replicas.at(0).send({ priority: HIGH });
    await resumed.until("batch");
    await live;
    expectWhole([...reader.signals, ...resumed.signals], 2_501);
  });
});

function envelope(request: unknown): Uint8Array {
  const json = Buffer.from(JSON.stringify(request));
  const head = Buffer.alloc(5);
  head.writeUInt32BE(json.length, 1);
  return Buffer.concat([head, json]);
}
