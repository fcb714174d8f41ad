import { timestampMs } from "@bufbuild/protobuf/wkt";
import { createCoordinationClient } from "@coordination-signals/client";
import { DeliveryVerdict } from "@coordination-signals/proto/coordination/v1/receipt";
import { Priority } from "@coordination-signals/proto/coordination/v1/signal";
import type { GetSignalReceiptsResponse } from "@coordination-signals/proto/coordination/v1/signal_service";
import { afterAll, beforeAll, describe, expect, test } from "@jest/globals";
import { eventually } from "../support/eventually.js";
import {
  acknowledgedSummary,
  explain,
  explainNamed,
  read,
  receiptsOf,
  register,
  settleAs,
  summary,
  timeOf,
  verdictOf,
  work,
} from "../support/receipt-calls.js";
import { refusalOf } from "../support/refusal.js";
import { newCoordinationId, note, notes } from "../support/sample-signals.js";
import { spawnServer } from "../support/spawned-server.js";
import { temporaryDirectory } from "../support/temporary-directory.js";
import { grpc, protocols, type TestClient } from "../support/test-client.js";
import { openTestPostgres } from "../support/test-postgres.js";
import { startTestServer, type TestServer } from "../support/test-server.js";
import { ack, untilDelivered } from "../support/work-subscription.js";

const postgres = await openTestPostgres();
afterAll(async () => postgres?.[Symbol.asyncDispose]());

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

  test("take nothing that the sender sends about its signal for a reply", async () => {
    const coordinationId = newCoordinationId();
    await register(client, coordinationId, "a", "sender");
    const { signalId: correlationId } = await client.signals.sendSignal(
      note(coordinationId, "x", { senderAgentId: "sender" }),
    );
    await client.signals.sendSignal(note(coordinationId, "more", { senderAgentId: "sender", correlationId }));
    expect(summary(await receiptsOf(client, coordinationId, 1n))).toEqual(["a - 0"]);
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

  test("tell of each subscription of an agent by itself, also for a signal that names the agent", async () => {
    const coordinationId = newCoordinationId();
    await register(client, coordinationId, "a");
    const gone = read(client, coordinationId, "a");
    await client.signals.sendSignal(note(coordinationId, "1"));
    await gone.untilSignals(1);
    await eventually(async () => expect(await verdictOf(client, coordinationId, 1n, "a")).toBe("DELIVERED"));
    gone[Symbol.dispose]();
    using other = read(client, coordinationId, "a", { filter: { minPriority: Priority.LOW } });
    await client.signals.sendSignal(note(coordinationId, "2", { recipientAgentIds: ["a"] }));
    await other.untilSignals(2);
    await eventually(async () => {
      const { subscriptions } = await explain(client, coordinationId, 2n, "a");
      expect(subscriptions.map(({ verdict }) => DeliveryVerdict[verdict])).toEqual(["DELIVERED", "NOT_YET"]);
    });
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
