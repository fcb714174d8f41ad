/**
 * What was wrong with the system that this one follows, each defect with the test that it would fail. A fix of our own gets
 * its test where it belongs; this file is for what must never come back with the design.
 */
import { create } from "@bufbuild/protobuf";
import { BinaryWriter, WireType } from "@bufbuild/protobuf/wire";
import { createCoordinationClient } from "@coordination-signals/client";
import { SignalFilterSchema, SignalType } from "@coordination-signals/proto/coordination/v1/signal";
import { StartPosition } from "@coordination-signals/proto/coordination/v1/signal_service";
import { afterAll, beforeAll, describe, expect, test } from "@jest/globals";
import { MemorySignalStore } from "../../server/src/store/memory/memory-signal-store.js";
import { eventually } from "../support/eventually.js";
import { ObservedStore } from "../support/observed-store.js";
import { requestHttp1 } from "../support/raw-http.js";
import { refusalOf } from "../support/refusal.js";
import { newCoordinationId, note, notes } from "../support/sample-signals.js";
import { openResources } from "../support/scrape-metrics.js";
import { grpc, type TestClient } from "../support/test-client.js";
import { startTestServer, type TestServer } from "../support/test-server.js";
import { checkRangesJoin, openSubscription } from "../support/test-subscription.js";

const earliest = { case: "position", value: StartPosition.EARLIEST } as const;

describe("defects of the origin that must not come back", () => {
  let server: TestServer;
  let client: TestClient;
  let store: ObservedStore;
  beforeAll(async () => {
    store = new ObservedStore(new MemorySignalStore());
    server = await startTestServer(["--max-history-signals", "1000000"], store);
    client = grpc.connect(server.url);
  });
  afterAll(async () => {
    client.disconnect();
    await server[Symbol.asyncDispose]();
  });

  const open = (request: Parameters<typeof openSubscription>[1]) => openSubscription(client.signals, request);
  const metricsOf = (coordinationId: string) => client.signals.getSignalMetrics({ coordinationId });

  test("the received counter is always zero", async () => {
    const coordinationId = newCoordinationId();
    await client.signals.batchSendSignals({ requests: notes(coordinationId, 3) });
    using first = open({ coordinationId, agentId: "reader", start: earliest });
    using second = open({ coordinationId, agentId: "reader", start: earliest });
    using observer = open({ coordinationId, start: earliest });
    await Promise.all([first.untilSignals(3), second.untilSignals(3), observer.untilSignals(3)]);
    await eventually(async () => {
      expect(await metricsOf(coordinationId)).toMatchObject({
        totalSignalsSent: 3n,
        totalSignalsReceived: 9n,
        signalsReceivedByAgent: { reader: 6n, "": 3n },
        signalsReceivedByType: { INTER_AGENT_MESSAGE: 9n },
      });
    });
  });

  test("two subscriptions of one agent steal signals from each other", async () => {
    const coordinationId = newCoordinationId();
    using first = open({ coordinationId, agentId: "reader" });
    using second = open({ coordinationId, agentId: "reader" });
    await Promise.all([first.until("subscribed"), second.until("subscribed")]);
    for (const signal of notes(coordinationId, 100)) await client.signals.sendSignal(signal);
    for (const subscription of [first, second]) {
      const signals = await subscription.untilSignals(100);
      expect(signals.map(({ sequence }) => Number(sequence))).toEqual(Array.from({ length: 100 }, (_, i) => i + 1));
      checkRangesJoin(subscription.items);
    }
    // One that leaves takes nothing with it.
    first.cancel();
    await client.signals.sendSignal(note(coordinationId));
    await second.untilSignals(101);
  });

  test("a late subscriber gets nothing of what was sent before", async () => {
    const coordinationId = newCoordinationId();
    await client.signals.batchSendSignals({ requests: notes(coordinationId, 10) });
    using late = open({ coordinationId, agentId: "late", start: earliest });
    await late.untilSignals(10);
    expect((await late.until("caughtUp")).value.throughSequence).toBe(10n);
    await client.signals.sendSignal(note(coordinationId, "live"));
    await late.untilSignals(11);
  });

  test("each subscriber has an unbounded queue", async () => {
    const coordinationId = newCoordinationId();
    const readers = Array.from({ length: 4 }, () => grpc.connect(server.url));
    const subscriptions = readers.map(({ signals }) => openSubscription(signals, { coordinationId }));
    for (const subscription of subscriptions) await subscription.until("subscribed");
    const requests = notes(coordinationId, 100).map((signal) => ({ ...signal, metadata: { x: "x".repeat(4_000) } }));
    // More than the end of the log that stays in memory.
    for (let batch = 0; batch < 20; batch += 1) await client.signals.batchSendSignals({ requests });
    // Nobody reads: whoever lags is not handed more than its socket takes, and what it lacks stays in the log.
    const { subscriptionLags } = await metricsOf(coordinationId);
    expect(subscriptionLags).toHaveLength(4);
    for (const { deliveryLag } of subscriptionLags) expect(deliveryLag).toBeGreaterThan(100n);
    const reads = store.counts.reads;
    for (const subscription of subscriptions) await subscription.untilSignals(2_000);
    expect(store.counts.reads).toBeGreaterThan(reads);
    for (const reader of readers) reader.disconnect();
  });

  test("a subscriber that breaks off its loop leaks its subscription", async () => {
    const sdk = createCoordinationClient({ baseUrl: server.url });
    try {
      const before = await openResources(server.url);
      const coordinationId = newCoordinationId();
      const session = sdk.coordination(coordinationId, { agentId: "reader" });
      await client.signals.batchSendSignals({ requests: notes(coordinationId, 3) });
      for (let round = 0; round < 3; round += 1) {
        for await (const signal of session.subscribe({ from: "earliest" })) {
          expect(signal.sequence).toBe(1n);
          break;
        }
      }
      await eventually(async () => {
        const { subscriptions, calls } = await openResources(server.url);
        expect({ subscriptions, calls }).toEqual({ subscriptions: before.subscriptions, calls: before.calls });
      });
      expect((await metricsOf(coordinationId)).activeSubscriptions).toBe(0n);
    } finally {
      await sdk.close();
    }
  });

  test("a send costs more the longer the history is", async () => {
    const coordinationId = newCoordinationId();
    // What the store does for each send, in entries and bytes: work that grows shows there, however fast the machine is.
    const costOfTen = async () => {
      const before = { ...store.counts };
      for (const signal of notes(coordinationId, 10)) {
        await client.signals.sendSignal({ ...signal, requestId: `request ${store.counts.committedEntries}` });
      }
      const { counts } = store;
      return {
        commits: counts.commits - before.commits,
        committedEntries: counts.committedEntries - before.committedEntries,
        committedRecords: counts.committedRecords - before.committedRecords,
        readEntries: counts.readEntries - before.readEntries,
        loads: counts.loads - before.loads,
        lookups: counts.lookups - before.lookups,
      };
    };
    // What is written in the background, at most every few seconds, can fall into one time; what each send costs is in all of them.
    const leastCostOfTen = async () => {
      const costs = [await costOfTen(), await costOfTen(), await costOfTen()];
      return costs.reduce((least, cost) => (cost.committedRecords < least.committedRecords ? cost : least));
    };
    await client.signals.sendSignal(note(coordinationId));
    const early = await leastCostOfTen();
    for (let batch = 0; batch < 20; batch += 1) {
      await client.signals.batchSendSignals({ requests: notes(coordinationId, 1_000) });
    }
    const bytesBefore = store.counts.committedBytes;
    expect(await leastCostOfTen()).toEqual(early);
    expect(early).toMatchObject({ committedEntries: 10, readEntries: 0, loads: 0, lookups: 10 });
    expect(store.counts.committedBytes - bytesBefore).toBeLessThan(30 * 1_000);
  });

  test("a filter with a key that nobody knows matches everything", async () => {
    const coordinationId = newCoordinationId();
    await client.signals.batchSendSignals({ requests: notes(coordinationId, 3) });
    const response = await requestHttp1(server.url, {
      path: "/coordination.v1.SignalService/GetSignalHistory",
      headers: { "content-type": "application/json" },
      body: JSON.stringify({ coordinationId, filter: { signal_typ: "agent_completed" } }),
    });
    expect(response.status).toBe(400);
    expect(response.body).toContain("signal_typ");
    const filter = create(SignalFilterSchema, { signalTypes: [SignalType.AGENT_COMPLETED] });
    filter.$unknown = [{ no: 99, wireType: WireType.Varint, data: new BinaryWriter().uint32(1).finish() }];
    const refused = await refusalOf(client.signals.getSignalHistory({ coordinationId, filter }));
    expect(refused).toMatchObject({ reason: "INVALID_FILTER", metadata: { field_number: "99" } });
  });

  test("propagation is measured without the delivery", async () => {
    const coordinationId = newCoordinationId();
    const startedMs = performance.now();
    const requests = notes(coordinationId, 100).map((signal) => ({ ...signal, metadata: { x: "x".repeat(4_000) } }));
    await client.signals.batchSendSignals({ requests });
    // Nobody is there: nothing was delivered, so nothing has propagated.
    expect(await metricsOf(coordinationId)).toMatchObject({ averagePropagationMs: 0, maxPropagationMs: 0 });
    using reader = open({ coordinationId, agentId: "reader", start: earliest });
    await reader.untilSignals(100);
    await reader.until("caughtUp");
    // Read after the fact: how old it is says nothing about how fast signals travel.
    expect(await metricsOf(coordinationId)).toMatchObject({ averagePropagationMs: 0, maxPropagationMs: 0 });

    // More than the sockets take: the last of it is handed over only when the reader goes on.
    for (let batch = 0; batch < 15; batch += 1) await client.signals.batchSendSignals({ requests });
    const sentMs = performance.now();
    await eventually(() => expect(performance.now() - sentMs).toBeGreaterThan(200));
    await reader.untilSignals(1_600);
    await eventually(async () => expect((await metricsOf(coordinationId)).totalSignalsReceived).toBe(1_600n));
    const { averagePropagationMs, maxPropagationMs, p99PropagationMs } = await metricsOf(coordinationId);
    expect(maxPropagationMs).toBeGreaterThan(200);
    expect(maxPropagationMs).toBeLessThan(performance.now() - startedMs);
    expect(averagePropagationMs).toBeGreaterThan(0);
    expect(averagePropagationMs).toBeLessThanOrEqual(maxPropagationMs);
    expect(p99PropagationMs).toBeLessThanOrEqual(maxPropagationMs);
  });
});
