import { AckMode } from "@coordination-signals/proto/coordination/v1/acknowledgement";
import { HistoryOrder } from "@coordination-signals/proto/coordination/v1/signal_service";
import { describe, expect, test } from "@jest/globals";
import { CoordinationError } from "../../server/src/model/coordination-error.js";
import { MemorySignalStore } from "../../server/src/store/memory/memory-signal-store.js";
import { eventually } from "../support/eventually.js";
import { ObservedStore } from "../support/observed-store.js";
import { refusalFromStatus, refusalOf } from "../support/refusal.js";
import { newCoordinationId, note } from "../support/sample-signals.js";
import { openResources, scrapeMetrics } from "../support/scrape-metrics.js";
import { connectJson, grpc, type TestClient } from "../support/test-client.js";
import { startTestServer, type TestServer } from "../support/test-server.js";
import { openSubscription } from "../support/test-subscription.js";

/** A store that a test can make fail, as a disk does. */
function failingStore({ failureIsFatal }: { readonly failureIsFatal: boolean }): ObservedStore {
  return new ObservedStore(new MemorySignalStore(), { failureIsFatal });
}

function fail(error: Error): () => never {
  return () => {
    throw error;
  };
}

const failedSends = ({ log }: TestServer) => log.filter(({ msg }) => msg === "failed to send signal");

const errorCount = async (server: TestServer, reason: string) =>
  (await scrapeMetrics(server.url)).value("coordination_errors_total", { reason });

describe.each([grpc, connectJson])("a send that fails, by $name", ({ connect }) => {
  /** Each case refuses one signal of "sender" to `coordinationId`. */
  const refusals: readonly (readonly [
    reason: string,
    refuse: (client: TestClient, coordinationId: string) => Promise<unknown>,
  ])[] = [
    ["INVALID_REQUEST", (client, id) => client.signals.sendSignal(note(id, "", { metadata: { "": "" } }))],
    ["SIGNAL_TOO_LARGE", (client, id) => client.signals.sendSignal(note(id, "x".repeat(300_000)))],
    ["AGENT_NOT_FOUND", (client, id) => client.signals.sendSignal(note(id, "", { recipientAgentIds: ["nobody"] }))],
    ["SEQUENCE_CONFLICT", (client, id) => client.signals.sendSignal(note(id, "", { expectedSequence: 5n }))],
    [
      "REQUEST_ID_REUSED",
      async (client, id) => {
        await client.signals.sendSignal(note(id, "one", { requestId: "r" }));
        return client.signals.sendSignal(note(id, "two", { requestId: "r" }));
      },
    ],
    [
      "COORDINATION_CLOSED",
      async (client, id) => {
        await client.signals.sendSignal(note(id));
        await client.coordinations.closeCoordination({ coordinationId: id });
        return client.signals.sendSignal(note(id));
      },
    ],
  ];

  test("logs nothing of who has given up waiting: its signal was sent", async () => {
    await using server = await startTestServer();
    using client = connect(server.url);
    const coordinationId = newCoordinationId();
    await client.agents.registerAgent({ coordinationId, agentId: "responder" });
    await client.signals.createSubscription({
      coordinationId,
      agentId: "responder",
      subscription: "asked",
      ackPolicy: { mode: AckMode.EXPLICIT },
    });
    const waits = async () => (await scrapeMetrics(server.url)).value("coordination_open_waits");
    const abort = new AbortController();
    const request = note(coordinationId, "", { recipientAgentIds: ["responder"] });
    const calls = [
      client.signals.requestSignal({ request }, { signal: abort.signal }),
      client.signals.sendSignal({ ...request, requiredAcks: ["responder"] }, { signal: abort.signal }),
    ].map((call) => refusalOf(call));
    await eventually(async () => expect(await waits()).toBe(2));
    abort.abort();
    for (const refusal of await Promise.all(calls)) expect(refusal).toMatchObject({ code: "Canceled" });
    await eventually(async () => expect(await waits()).toBe(0));
    expect(failedSends(server)).toEqual([]);
  });

  test.each(refusals)("logs one line with its reason: %s", async (reason, refuse) => {
    await using server = await startTestServer();
    using client = connect(server.url);
    const coordinationId = newCoordinationId();
    const { message } = await refusalOf(refuse(client, coordinationId));
    const expected = { level: 40, reason, coordinationId, senderAgentId: "sender", detail: message };
    expect(failedSends(server)).toMatchObject([expected]);
    expect(await errorCount(server, reason)).toBe(1);
  });

  test("logs one line for each signal of a batch that is refused, and for an atomic batch the one at fault", async () => {
    await using server = await startTestServer();
    using client = connect(server.url);
    const coordinationId = newCoordinationId();
    const requests = [
      note(coordinationId),
      note(coordinationId, "", { senderAgentId: "no good" }),
      note(coordinationId, "", { senderAgentId: "lost", recipientAgentIds: ["nobody"] }),
    ];
    await client.signals.batchSendSignals({ requests });
    expect(failedSends(server)).toMatchObject([
      { reason: "INVALID_REQUEST", coordinationId, senderAgentId: "no good" },
      { reason: "AGENT_NOT_FOUND", coordinationId, senderAgentId: "lost" },
    ]);
    await refusalOf(client.signals.batchSendSignals({ requests: requests.toSpliced(1, 1), atomic: true }));
    expect(failedSends(server).slice(2)).toMatchObject([
      { reason: "AGENT_NOT_FOUND", coordinationId, senderAgentId: "lost" },
    ]);
    expect(await errorCount(server, "AGENT_NOT_FOUND")).toBe(2);
  });

  test("logs no more of a name than a name may have", async () => {
    await using server = await startTestServer();
    using client = connect(server.url);
    await refusalOf(client.signals.sendSignal(note("x".repeat(100_000))));
    expect(failedSends(server)).toMatchObject([{ reason: "INVALID_REQUEST", coordinationId: "x".repeat(200) }]);
    expect(JSON.stringify(failedSends(server)).length).toBeLessThan(2_000);
  });
});

describe("a store that fails", () => {
  test("refuses the send with STORE_UNAVAILABLE and its cause in the log, shows nothing, and takes it again", async () => {
    const store = failingStore({ failureIsFatal: false });
    await using server = await startTestServer([], store);
    using client = grpc.connect(server.url);
    const coordinationId = newCoordinationId();
    await client.signals.sendSignal(note(coordinationId, "before"));
    using subscription = openSubscription(client.signals, { coordinationId });
    await subscription.until("caughtUp");

    store.hooks = { beforeCommit: fail(new Error("EIO: i/o error, write '/var/secret'")) };
    const refused = await refusalOf(client.signals.sendSignal(note(coordinationId, "lost", { requestId: "r" })));
    expect(refused).toMatchObject({ code: "Unavailable", reason: "STORE_UNAVAILABLE", retryDelayMs: 1_000 });
    expect(JSON.stringify(refused)).not.toContain("secret");
    const { results } = await client.signals.batchSendSignals({ requests: [note(coordinationId, "lost too")] });
    const [result] = results.map((each) => each.result);
    expect(result?.case === "error" && refusalFromStatus(result.value)).toMatchObject({ retryDelayMs: 1_000 });
    expect(failedSends(server)).toMatchObject([
      { reason: "STORE_UNAVAILABLE", coordinationId, err: { message: expect.stringContaining("EIO") } },
      { reason: "STORE_UNAVAILABLE", coordinationId },
    ]);
    expect(await errorCount(server, "STORE_UNAVAILABLE")).toBe(2);

    store.hooks = {};
    const again = await client.signals.sendSignal(note(coordinationId, "lost", { requestId: "r" }));
    expect(again).toMatchObject({ sequence: 2n, deduplicated: false });
    await subscription.untilSignals(1);
    const { signals } = await client.signals.getSignalHistory({ coordinationId, order: HistoryOrder.OLDEST_FIRST });
    expect(signals.map(({ event }) => event.value)).toMatchObject([{ message: "before" }, { message: "lost" }]);
    expect((await client.signals.getSignalMetrics({ coordinationId })).totalSignalsSent).toBe(2n);
    expect(server.fatalErrors).toEqual([]);
  });

  test("is told of once where its failure is fatal, and serves nothing any more", async () => {
    const store = failingStore({ failureIsFatal: true });
    await using server = await startTestServer([], store);
    using client = grpc.connect(server.url);
    const coordinationId = newCoordinationId();
    await client.signals.sendSignal(note(coordinationId, "before"));
    store.hooks = { beforeCommit: fail(new Error("EIO")) };
    for (let attempt = 0; attempt < 3; attempt += 1) {
      const refused = await refusalOf(client.signals.sendSignal(note(coordinationId)));
      expect(refused).toMatchObject({ code: "Unavailable", reason: "STORE_UNAVAILABLE" });
      // Only the first attempt reaches the store: whether what failed is there is not known.
      store.hooks = {};
    }
    expect(server.fatalErrors).toHaveLength(1);
    const read = await refusalOf(client.signals.getSignalHistory({ coordinationId }));
    expect(read).toMatchObject({ code: "Unavailable", reason: "STORE_UNAVAILABLE" });
  });

  test("that is damaged answers DATA_LOSS and must not go on", async () => {
    const store = failingStore({ failureIsFatal: false });
    await using server = await startTestServer([], store);
    using client = grpc.connect(server.url);
    const coordinationId = newCoordinationId();
    await client.signals.sendSignal(note(coordinationId));
    store.hooks = { beforeRead: fail(new CoordinationError("STORE_CORRUPT", "entry 1 is damaged")) };
    const refused = await refusalOf(client.signals.getSignalHistory({ coordinationId }));
    expect(refused).toMatchObject({ code: "DataLoss", reason: "STORE_CORRUPT", domain: "coordination.v1" });
    expect(server.fatalErrors).toHaveLength(1);
  });

  test("in a way nobody foresaw is INTERNAL to the client, who learns no more than the log's id of it", async () => {
    const store = failingStore({ failureIsFatal: false });
    await using server = await startTestServer([], store);
    using client = grpc.connect(server.url);
    const coordinationId = newCoordinationId();
    await client.signals.sendSignal(note(coordinationId));
    store.hooks = { beforeRead: fail(new TypeError("secret is undefined at /var/secret")) };
    const refused = await refusalOf(client.signals.getSignalHistory({ coordinationId }));
    expect(refused).toMatchObject({ code: "Internal", reason: "INTERNAL", domain: "coordination.v1" });
    expect(JSON.stringify(refused)).not.toContain("secret");
    const logged = server.log.filter(({ msg }) => msg === "unexpected error");
    expect(logged).toMatchObject([
      { level: 50, errorId: refused.metadata["error_id"], err: { message: expect.stringContaining("secret") } },
    ]);
    expect(await errorCount(server, "INTERNAL")).toBe(1);
  });
});

describe("a server at its limits", () => {
  test("refuses one coordination too many, until one is deleted", async () => {
    await using server = await startTestServer(["--max-coordinations", "2"]);
    using client = grpc.connect(server.url);
    const { results } = await client.signals.batchSendSignals({ requests: [note("a"), note("b"), note("c")] });
    expect(results.filter(({ result }) => result.case === "response")).toHaveLength(2);
    const expected = { code: "ResourceExhausted", reason: "TOO_MANY_COORDINATIONS", metadata: { limit: "2" } };
    const refused = await refusalOf(client.agents.registerAgent({ coordinationId: "d", agentId: "a" }));
    expect(refused).toMatchObject({ ...expected, retryDelayMs: undefined });
    expect(failedSends(server)).toMatchObject([{ reason: "TOO_MANY_COORDINATIONS" }]);
    const { coordinations } = await client.coordinations.listCoordinations({});
    await client.coordinations.deleteCoordination({ coordinationId: coordinations[0]?.coordinationId ?? "" });
    await client.signals.sendSignal(note("d"));
  });

  test("refuses one subscription too many, until one is left", async () => {
    await using server = await startTestServer(["--max-subscriptions", "2"]);
    using client = grpc.connect(server.url);
    const open = () => openSubscription(client.signals, { coordinationId: "c" });
    using first = open();
    using second = open();
    await Promise.all([first.until("subscribed"), second.until("subscribed")]);
    using third = open();
    expect(await refusalOf(third.next())).toMatchObject({
      code: "ResourceExhausted",
      reason: "TOO_MANY_SUBSCRIPTIONS",
      metadata: { limit: "2" },
    });
    first.cancel();
    second.cancel();
    await eventually(async () => expect(await openResources(server.url)).toMatchObject({ subscriptions: 0 }));
    using fourth = open();
    await fourth.until("subscribed");
  });
});
