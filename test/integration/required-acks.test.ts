import { durationFromMs } from "@bufbuild/protobuf/wkt";
import { Priority } from "@coordination-signals/proto/coordination/v1/signal";
import { StartPosition } from "@coordination-signals/proto/coordination/v1/signal_service";
import { afterAll, beforeAll, describe, expect, test } from "@jest/globals";
import { deadlineOf } from "../support/deadline-of.js";
import { eventually } from "../support/eventually.js";
import { refusalFromStatus, refusalOf } from "../support/refusal.js";
import { newCoordinationId, note, type SignalInit } from "../support/sample-signals.js";
import { scrapeMetrics } from "../support/scrape-metrics.js";
import { spawnServer } from "../support/spawned-server.js";
import { temporaryDirectory } from "../support/temporary-directory.js";
import { grpc, protocols, type TestClient } from "../support/test-client.js";
import { openTestPostgres } from "../support/test-postgres.js";
import { startTestServer, type TestServer } from "../support/test-server.js";
import type { TestSubscription } from "../support/test-subscription.js";
import {
  ack,
  type DeliveredSignal,
  nack,
  openConsumer,
  type PolicyParts,
  policyOf,
  reject,
  untilDelivered,
} from "../support/work-subscription.js";

const postgres = await openTestPostgres();
afterAll(async () => postgres?.[Symbol.asyncDispose]());

/** Consumes as an agent through a subscription of its own, which is made when this resolves. */
async function consume(
  client: TestClient,
  coordinationId: string,
  agentId: string,
  policy: PolicyParts = {},
): Promise<TestSubscription> {
  const consumer = openConsumer(client, policy, { coordinationId, agentId, subscription: agentId });
  await consumer.until("subscribed");
  return consumer;
}

const create = (client: TestClient, coordinationId: string, agentId: string, parts: object = {}) =>
  client.signals.createSubscription({
    coordinationId,
    agentId,
    subscription: agentId,
    start: { case: "position", value: StartPosition.EARLIEST },
    ackPolicy: policyOf(),
    ...parts,
  });

async function settle(
  { signals }: TestClient,
  coordinationId: string,
  agentId: string,
  acknowledgement: ReturnType<typeof ack>,
): Promise<void> {
  const { results } = await signals.acknowledgeSignals({
    coordinationId,
    subscription: agentId,
    acknowledgements: [acknowledgement],
  });
  expect(results.map(({ error }) => error)).toEqual([undefined]);
}

/** Sends a signal that has to be acknowledged by these, with a request_id so that it can be repeated. */
function send({ signals }: TestClient, coordinationId: string, requiredAcks: readonly string[], parts: object = {}) {
  const requiring = { requiredAcks: [...requiredAcks], requestId: "r", ackTimeout: durationFromMs(3_600_000) };
  const call = signals.sendSignal({ ...note(coordinationId), ...requiring, ...parts } as SignalInit);
  // A test that fails before it awaits the call says why itself.
  call.catch(() => undefined);
  return call;
}

const soon = { ackTimeout: durationFromMs(30) };

async function headOf({ coordinations }: TestClient, coordinationId: string): Promise<bigint> {
  const { coordination } = await coordinations.getCoordination({ coordinationId });
  return coordination?.headSequence ?? 0n;
}

async function openWaits({ url }: { readonly url: string }): Promise<number> {
  return (await scrapeMetrics(url)).value("coordination_open_waits");
}

describe.each(protocols)("required_acks by $name", ({ connect }) => {
  test("answers once the agents that are named have acknowledged, and not before", async () => {
    await using server = await startTestServer();
    using client = connect(server.url);
    using worker = grpc.connect(server.url);
    const coordinationId = newCoordinationId();
    using validator = await consume(worker, coordinationId, "validator");
    using tester = await consume(worker, coordinationId, "tester");
    let isAnswered = false;
    const call = send(client, coordinationId, ["validator", "tester"]);
    const noted = call.then(() => {
      isAnswered = true;
    });
    const delivered = await untilDelivered(validator, 1);
    await settle(worker, coordinationId, "validator", ack(delivered));
    const other = await untilDelivered(tester, 1);
    expect([isAnswered, await openWaits(server)]).toEqual([false, 1]);
    await settle(worker, coordinationId, "tester", ack(other));
    expect(await call).toMatchObject({ sequence: 1n, deduplicated: false });
    await noted;
    expect(await openWaits(server)).toBe(0);
  });
});

describe("required_acks", () => {
  let server: TestServer;
  let client: TestClient;
  beforeAll(async () => {
    server = await startTestServer(["--max-history-signals", "300"]);
    client = grpc.connect(server.url);
  });
  afterAll(async () => {
    client.disconnect();
    await server[Symbol.asyncDispose]();
  });

  test("times out naming who is missing; the signal stays, and the same request waits again and is then answered at once", async () => {
    const coordinationId = newCoordinationId();
    await create(client, coordinationId, "away");
    using validator = await consume(client, coordinationId, "validator");
    const first = send(client, coordinationId, ["away", "validator"]);
    const delivered = await untilDelivered(validator, 1);
    await settle(client, coordinationId, "validator", ack(delivered));
    const refused = await refusalOf(send(client, coordinationId, ["away", "validator"], soon));
    expect(refused).toMatchObject({
      code: "DeadlineExceeded",
      reason: "REQUEST_TIMEOUT",
      message: expect.stringMatching(/^signal 1 is stored, .*: away \(it was not delivered yet\)$/),
      metadata: { sequence: "1", missing: "away", missing_count: "1", signal_id: expect.any(String) },
    });
    using away = await consume(client, coordinationId, "away");
    const late = await untilDelivered(away, 1);
    expect((await refusalOf(send(client, coordinationId, ["away"], soon))).message).toMatch(
      /away \(it was delivered, attempt 1\)$/,
    );
    const again = send(client, coordinationId, ["away", "validator"]);
    await eventually(async () => expect(await openWaits(server)).toBe(2));
    await settle(client, coordinationId, "away", ack(late));
    expect(await first).toMatchObject({ sequence: 1n, deduplicated: false });
    expect(await again).toMatchObject({ sequence: 1n, deduplicated: true });
    expect(await send(client, coordinationId, ["away", "validator"], soon)).toMatchObject({ deduplicated: true });
    expect(await headOf(client, coordinationId)).toBe(1n);
  });

  test("ends by itself, with who is missing, before its call's deadline does it", async () => {
    const coordinationId = newCoordinationId();
    await create(client, coordinationId, "away");
    const request = { ...note(coordinationId), requiredAcks: ["away"] };
    const refusal = await refusalOf(client.signals.sendSignal(request, { headers: deadlineOf(400) }));
    expect(refusal).toMatchObject({
      code: "DeadlineExceeded",
      reason: "REQUEST_TIMEOUT",
      metadata: { missing: "away" },
    });
  });

  test("is refused at once and stores nothing where a named agent has no subscription that could get the signal", async () => {
    const coordinationId = newCoordinationId();
    await client.agents.registerAgent({ coordinationId, agentId: "nobody" });
    await create(client, coordinationId, "able");
    await create(client, coordinationId, "urgent", { filter: { minPriority: Priority.HIGH } });
    await create(client, coordinationId, "choosy", { filter: { expression: 'signal.sender_agent_id == "x"' } });
    await create(client, coordinationId, "later", { start: { case: "startTime", value: { seconds: 9_999_999_999n } } });
    await create(client, coordinationId, "sender");
    // Of an observer nobody is told.
    await create(client, coordinationId, "", { subscription: "observer" });
    const names = ["able", "choosy", "later", "nobody", "sender", "urgent"];
    const refusal = await refusalOf(send(client, coordinationId, names));
    expect(refusal).toMatchObject({ code: "FailedPrecondition", reason: "NO_RESPONDERS" });
    expect(refusal.metadata["agents"]?.split(",").sort()).toEqual(["choosy", "later", "nobody", "sender", "urgent"]);
    expect(await headOf(client, coordinationId)).toBe(0n);
    const unknown = newCoordinationId();
    expect(await refusalOf(send(client, unknown, ["able"]))).toMatchObject({ reason: "NO_RESPONDERS" });
    expect(await refusalOf(client.coordinations.getCoordination({ coordinationId: unknown }))).toMatchObject({
      reason: "COORDINATION_NOT_FOUND",
    });
  });

  test("asks at most 64 filters before it stores the signal, and the others after that", async () => {
    const coordinationId = newCoordinationId();
    const filter = { expression: 'signal.sender_agent_id == "x"' };
    const createNumbered = (number: number) =>
      create(client, coordinationId, "choosy", { subscription: `choosy-${number}`, filter });
    for (let number = 1; number <= 64; number++) await createNumbered(number);
    expect(await refusalOf(send(client, coordinationId, ["choosy"]))).toMatchObject({ reason: "NO_RESPONDERS" });
    expect(await headOf(client, coordinationId)).toBe(0n);
    await createNumbered(65);
    expect(await refusalOf(send(client, coordinationId, ["choosy"]))).toMatchObject({
      reason: "NOT_ACKNOWLEDGED",
      metadata: { sequence: "1", agents: "choosy" },
    });
  });

  test("is enough through one of an agent's subscriptions, whatever the others do", async () => {
    const coordinationId = newCoordinationId();
    using first = await consume(client, coordinationId, "validator");
    const parts = { coordinationId, agentId: "validator", subscription: "second" };
    using second = openConsumer(client, {}, parts);
    await second.until("subscribed");
    await client.agents.registerAgent({ coordinationId, agentId: "validator" });
    const call = send(client, coordinationId, ["validator"], { recipientAgentIds: ["validator"] });
    await settle(client, coordinationId, "validator", reject(await untilDelivered(first, 1)));
    await settle(client, coordinationId, "second", ack(await untilDelivered(second, 1)));
    expect(await call).toMatchObject({ sequence: 1n });
  });

  test("fails at once when an agent has given the signal up", async () => {
    const giveUp: readonly (readonly [PolicyParts, (delivered: DeliveredSignal) => ReturnType<typeof ack>, RegExp])[] =
      [
        [{}, (delivered) => reject(delivered, "no such model"), /validator \(it was rejected: no such model\)$/],
        [
          { attempts: 1 },
          (delivered) => nack(delivered),
          /validator \(it was delivered 1 times and not acknowledged\)$/,
        ],
      ];
    for (const [policy, settlement, message] of giveUp) {
      const coordinationId = newCoordinationId();
      using validator = await consume(client, coordinationId, "validator", policy);
      const call = send(client, coordinationId, ["validator"]);
      await settle(client, coordinationId, "validator", settlement(await untilDelivered(validator, 1)));
      const refusal = {
        code: "FailedPrecondition",
        reason: "NOT_ACKNOWLEDGED",
        message: expect.stringMatching(message),
        metadata: { sequence: "1", agents: "validator" },
      };
      expect(await refusalOf(call)).toMatchObject(refusal);
      expect(await refusalOf(send(client, coordinationId, ["validator"]))).toMatchObject(refusal);
      // Put back, it can still be acknowledged.
      await client.signals.redriveDeadLetters({ coordinationId, subscription: "validator" });
      const again = send(client, coordinationId, ["validator"]);
      await settle(client, coordinationId, "validator", ack(await untilDelivered(validator, 2)));
      expect(await again).toMatchObject({ deduplicated: true });
    }
  });

  test("fails at once when the subscription is deleted, and when the signal leaves the history", async () => {
    const coordinationId = newCoordinationId();
    await create(client, coordinationId, "validator");
    const deleted = send(client, coordinationId, ["validator"]);
    await eventually(async () => expect(await openWaits(server)).toBe(1));
    await client.signals.deleteSubscription({ coordinationId, subscription: "validator" });
    expect(await refusalOf(deleted)).toMatchObject({
      reason: "NOT_ACKNOWLEDGED",
      message: expect.stringMatching(/no named subscription of it could get the signal\)$/),
    });
    await create(client, coordinationId, "validator");
    const trimmed = send(client, coordinationId, ["validator"], { requestId: "other" });
    await eventually(async () => expect(await openWaits(server)).toBe(1));
    for (let sent = 0; sent < 700; sent += 350) {
      const requests = Array.from({ length: 350 }, () => note(coordinationId));
      await client.signals.batchSendSignals({ requests });
    }
    expect(await refusalOf(trimmed)).toMatchObject({
      reason: "NOT_ACKNOWLEDGED",
      message: expect.stringMatching(/it left the history before it was acknowledged\)$/),
    });
  });

  test("that was acknowledged counts although the subscription is deleted since", async () => {
    const coordinationId = newCoordinationId();
    using validator = await consume(client, coordinationId, "validator");
    const call = send(client, coordinationId, ["validator"]);
    await settle(client, coordinationId, "validator", ack(await untilDelivered(validator, 1)));
    await call;
    await client.signals.deleteSubscription({ coordinationId, subscription: "validator" });
    expect(await send(client, coordinationId, ["validator"])).toMatchObject({ deduplicated: true });
  });

  test("ends with the coordination, and with the signal", async () => {
    const ends: readonly (readonly [string, string, (coordinationId: string) => Promise<unknown>])[] = [
      ["closed", "COORDINATION_CLOSED", (coordinationId) => client.coordinations.closeCoordination({ coordinationId })],
      [
        "deleted",
        "COORDINATION_NOT_FOUND",
        (coordinationId) => client.coordinations.deleteCoordination({ coordinationId }),
      ],
      [
        "rolled back",
        "ROLLED_BACK",
        (coordinationId) => client.state.rollbackCoordination({ coordinationId, toSequence: 0n }),
      ],
    ];
    for (const [how, reason, end] of ends) {
      const coordinationId = newCoordinationId();
      await create(client, coordinationId, "validator");
      const call = send(client, coordinationId, ["validator"]);
      await eventually(async () => expect(await openWaits(server)).toBe(1));
      await end(coordinationId);
      expect([how, (await refusalOf(call)).reason]).toEqual([how, reason]);
    }
    await eventually(async () => expect(await openWaits(server)).toBe(0));
  });

  test("is not waited for any more when the caller has gone", async () => {
    const coordinationId = newCoordinationId();
    await create(client, coordinationId, "validator");
    const abort = new AbortController();
    const request = { ...note(coordinationId), requiredAcks: ["validator"] } as SignalInit;
    const call = client.signals.sendSignal(request, { signal: abort.signal });
    await eventually(async () => expect(await openWaits(server)).toBe(1));
    abort.abort();
    expect(await refusalOf(call)).toMatchObject({ code: "Canceled" });
    await eventually(async () => expect(await openWaits(server)).toBe(0));
    expect(await headOf(client, coordinationId)).toBe(1n);
  });

  test("is refused where nobody would wait, and where it contradicts itself", async () => {
    const coordinationId = newCoordinationId();
    await create(client, coordinationId, "a");
    const invalid = { code: "InvalidArgument", reason: "INVALID_REQUEST" };
    const requiring = { ...note(coordinationId), requiredAcks: ["a"] } as SignalInit;
    const timed = { ...note(coordinationId), ackTimeout: durationFromMs(5) } as SignalInit;
    const batch = await client.signals.batchSendSignals({ requests: [requiring, note(coordinationId), timed] });
    expect(
      batch.results.map(({ result }) => (result.case === "error" ? refusalFromStatus(result.value) : {})),
    ).toMatchObject([
      { ...invalid, metadata: { field: "required_acks" } },
      {},
      { ...invalid, metadata: { field: "ack_timeout" } },
    ]);
    const atomic = client.signals.batchSendSignals({ requests: [note(coordinationId), requiring], atomic: true });
    expect(await refusalOf(atomic)).toMatchObject({ ...invalid, metadata: { index: "1" } });
    for await (const { batch: answer } of client.signals.streamSignals(oneBatch([requiring]))) {
      const result = answer?.results[0]?.result;
      expect(result?.case === "error" && refusalFromStatus(result.value)).toMatchObject(invalid);
    }
    const asked = { ...requiring, event: { case: "interAgentMessage", value: { message: "?" } } } as SignalInit;
    expect(await refusalOf(client.signals.requestSignal({ request: asked }))).toMatchObject(invalid);
    for (const parts of [
      { recipientAgentIds: ["b"], requiredAcks: ["a"] },
      { requiredAcks: [] },
      { requiredAcks: ["a", "a"] },
      { requiredAcks: ["a b"] },
      { requiredAcks: Array.from({ length: 65 }, (_, index) => `a${index}`) },
      { ackTimeout: durationFromMs(3_600_001) },
      { ackTimeout: durationFromMs(0) },
    ]) {
      expect(await refusalOf(send(client, coordinationId, ["a"], parts))).toMatchObject(invalid);
    }
    expect(await headOf(client, coordinationId)).toBe(1n);
  });
});

async function* oneBatch(requests: SignalInit[]) {
  yield { batch: { requests } };
}

test("a send that waits for acknowledgements is told that the server stops, and that its signal is stored", async () => {
  await using server = await startTestServer();
  using client = grpc.connect(server.url);
  await create(client, "c", "validator");
  const call = send(client, "c", ["validator"]);
  await eventually(async () => expect(await openWaits(server)).toBe(1));
  const stopped = server.stop();
  expect(await refusalOf(call)).toMatchObject({
    code: "Unavailable",
    reason: "SHUTTING_DOWN",
    retryDelayMs: 100,
    metadata: { sequence: "1" },
  });
  await stopped;
});

test("a server takes no more sends that wait than waits", async () => {
  await using server = await startTestServer(["--max-waits", "1"]);
  using client = grpc.connect(server.url);
  using validator = await consume(client, "c", "validator");
  const first = send(client, "c", ["validator"]);
  await eventually(async () => expect(await openWaits(server)).toBe(1));
  expect(await refusalOf(send(client, "c", ["validator"], { requestId: "other" }))).toMatchObject({
    reason: "TOO_MANY_WAITS",
  });
  await settle(client, "c", "validator", ack(await untilDelivered(validator, 1)));
  expect(await first).toMatchObject({ sequence: 1n });
  expect(await headOf(client, "c")).toBe(1n);
});

test("after kill -9 the same request waits again, and is answered at once where all had acknowledged", async () => {
  await using directory = await temporaryDirectory();
  const flags = ["--store", `lmdb:${directory.path}`];
  await using first = await spawnServer(flags);
  {
    using client = grpc.connect(first.url);
    using validator = await consume(client, "c", "validator", { deadlineMs: 3_600_000 });
    const acknowledged = send(client, "c", ["validator"], { requestId: "done" });
    await settle(client, "c", "validator", ack(await untilDelivered(validator, 1)));
    await acknowledged;
    const open = send(client, "c", ["validator"], { requestId: "open" });
    await untilDelivered(validator, 2);
    using once = await consume(client, "c", "once", { attempts: 1, deadlineMs: 3_600_000 });
    const tried = send(client, "c", ["once"], { requestId: "tried" });
    await untilDelivered(once, 3);
    first.kill("SIGKILL");
    await expect(open).rejects.toThrow();
    await expect(tried).rejects.toThrow();
  }
  await first.exited;
  await using second = await spawnServer(flags);
  using client = grpc.connect(second.url);
  expect(await send(client, "c", ["validator"], { requestId: "done" })).toMatchObject({ deduplicated: true });
  // Its only attempt went with the consumer.
  expect(await refusalOf(send(client, "c", ["once"], { requestId: "tried" }))).toMatchObject({
    reason: "NOT_ACKNOWLEDGED",
  });
  const open = send(client, "c", ["validator"], { requestId: "open" });
  await eventually(async () => expect(await openWaits(second)).toBe(1));
  using validator = await consume(client, "c", "validator", { deadlineMs: 3_600_000 });
  const redelivered = await untilDelivered(validator, 1);
  expect(redelivered).toMatchObject({ sequence: 2n, attempt: 2 });
  await settle(client, "c", "validator", ack(redelivered));
  expect(await open).toMatchObject({ sequence: 2n, deduplicated: true });
});

(postgres === undefined ? describe.skip : describe)("required_acks on servers that share a store", () => {
  test("are met, and refused, by consumers on another server; and the other server answers the same request", async () => {
    const url = (await postgres?.createDatabase()) ?? "";
    await using a = await startTestServer(["--store", url]);
    await using b = await startTestServer(["--store", url]);
    using one = grpc.connect(a.url);
    using other = grpc.connect(b.url);
    using validator = await consume(other, "c", "validator");
    const call = send(one, "c", ["validator"]);
    const twice = (async () => {
      await eventually(async () => expect(await headOf(other, "c")).toBe(1n));
      return send(other, "c", ["validator"]);
    })();
    const delivered = await untilDelivered(validator, 1);
    await eventually(async () => expect([await openWaits(a), await openWaits(b)]).toEqual([1, 1]));
    await settle(other, "c", "validator", ack(delivered));
    expect(await call).toMatchObject({ sequence: 1n, deduplicated: false });
    expect(await twice).toMatchObject({ sequence: 1n, deduplicated: true });
    expect(await send(other, "c", ["validator"])).toMatchObject({ deduplicated: true });
    const refused = send(one, "c", ["validator"], { requestId: "other" });
    await settle(other, "c", "validator", reject(await untilDelivered(validator, 2)));
    expect(await refusalOf(refused)).toMatchObject({ reason: "NOT_ACKNOWLEDGED" });
  });
});
