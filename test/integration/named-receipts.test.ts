import { createCoordinationClient } from "@coordination-signals/client";
import { DeadLetterReason } from "@coordination-signals/proto/coordination/v1/acknowledgement";
import { DeliveryVerdict } from "@coordination-signals/proto/coordination/v1/receipt";
import { Priority } from "@coordination-signals/proto/coordination/v1/signal";
import { StartPosition } from "@coordination-signals/proto/coordination/v1/signal_service";
import { describe, expect, test } from "@jest/globals";
import { eventually } from "../support/eventually.js";
import {
  acknowledgedSummary,
  explainNamed,
  receiptsOf,
  register,
  settleAs,
  timeOf,
  verdictOf,
  work,
} from "../support/receipt-calls.js";
import { refusalOf } from "../support/refusal.js";
import { newCoordinationId, note, notes, type SignalInit } from "../support/sample-signals.js";
import { serverForAll } from "../support/server-for-all.js";
import { spawnServer } from "../support/spawned-server.js";
import { temporaryDirectory } from "../support/temporary-directory.js";
import { grpc, type TestClient } from "../support/test-client.js";
import { startTestServer, type TestServer } from "../support/test-server.js";
import { ack, deliveredTo, nack, policyOf, reject, untilDelivered } from "../support/work-subscription.js";

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

  test("keep when a signal was delivered first when it is redriven", async () => {
    const coordinationId = newCoordinationId();
    await register(client, coordinationId, "a");
    using a = await work(client, coordinationId, "a");
    await client.signals.sendSignal(note(coordinationId));
    await settleAs(client, coordinationId, "a", reject(await untilDelivered(a, 1)));
    const deliveredTime = async () => (await receiptsOf(client, coordinationId, 1n)).receipts[0]?.deliveredTime;
    const letter = async () => (await client.signals.listDeadLetters({ coordinationId })).deadLetters[0];
    const first = await deliveredTime();
    expect(first).toBeDefined();
    a.cancel();
    await client.signals.redriveDeadLetters({ coordinationId });
    expect(await deliveredTime()).toEqual(first);
    using heir = await work(client, coordinationId, "a");
    await settleAs(client, coordinationId, "a", reject(await untilDelivered(heir, 1)));
    expect(await letter()).toMatchObject({ attempts: 1, firstDeliveryTime: first });
    expect(timeOf((await letter())?.lastDeliveryTime)).toBeGreaterThanOrEqual(timeOf(first));
    expect(await deliveredTime()).toEqual(first);
    heir.cancel();
  });

  test("say that a signal that has left the history waits for a subscription that reads it yet", async () => {
    await using small = await startTestServer(["--max-history-signals", "10"]);
    using one = grpc.connect(small.url);
    await one.signals.createSubscription({
      coordinationId: "c",
      agentId: "a",
      subscription: "a",
      start: { case: "position", value: StartPosition.EARLIEST },
      ackPolicy: policyOf(),
    });
    await one.signals.batchSendSignals({ requests: notes("c", 50) });
    expect((await one.coordinations.getCoordination({ coordinationId: "c" })).coordination?.oldestSequence).toBe(41n);
    expect((await explainNamed(one, "c", 20n, "a")).verdict).toBe(DeliveryVerdict.NOT_YET);
    expect(await verdictOf(one, "c", 20n, "a")).toBe("NOT_YET");
    expect(await verdictOf(one, "c", 20n, "nobody")).toBe("TRIMMED");
    using a = await work(one, "c", "a");
    await untilDelivered(a, 50);
    await settleAs(one, "c", "a", ...deliveredTo(a).map(ack));
    expect((await explainNamed(one, "c", 20n, "a")).verdict).toBe(DeliveryVerdict.ACKNOWLEDGED);
    a.cancel();
  });

  test("agree with lists on what is leased and what is dead after the server was killed, whatever is asked first", async () => {
    await using directory = await temporaryDirectory();
    const store = ["--store", `lmdb:${directory.path}`];
    await using killed = await spawnServer(store);
    const before = grpc.connect(killed.url);
    for (const coordinationId of ["c", "d", "e"]) {
      await before.signals.sendSignal(note(coordinationId));
      for (const [agentId, attempts] of [
        ["spent", 1],
        ["spare", 2],
      ] as const) {
        await untilDelivered(
          await work(before, coordinationId, agentId, { policy: { attempts, deadlineMs: 3_600_000 } }),
          1,
        );
      }
    }
    killed.kill("SIGKILL");
    await killed.exited;
    before.disconnect();
    await using after = await spawnServer(store);
    using one = grpc.connect(after.url);
    expect(await verdictOf(one, "c", 1n, "spent")).toBe("DEAD_LETTERED");
    expect(await verdictOf(one, "c", 1n, "spare")).toBe("WAITING");
    const spare = { subscription: "spare", outstandingCount: 1n, leasedCount: 0n, deadLetterCount: 0n };
    const spent = { subscription: "spent", outstandingCount: 0n, leasedCount: 0n, deadLetterCount: 1n };
    expect((await one.signals.listSubscriptions({ coordinationId: "d" })).subscriptions).toMatchObject([spare, spent]);
    const overview = await one.coordinations.getCoordination({ coordinationId: "e" });
    expect(overview).toMatchObject({ deadLetterCount: 1n, subscriptions: [spare, spent] });
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
