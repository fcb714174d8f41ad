import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { SignalType } from "@coordination-signals/proto/coordination/v1/signal";
import { StartPosition } from "@coordination-signals/proto/coordination/v1/signal_service";
import { describe, expect, test } from "@jest/globals";
import { eventually } from "../support/eventually.js";
import type { PrometheusText } from "../support/prometheus-text.js";
import { refusalOf } from "../support/refusal.js";
import { fullEvents, note, notes } from "../support/sample-signals.js";
import { scrapeMetrics } from "../support/scrape-metrics.js";
import { spawnServer } from "../support/spawned-server.js";
import { grpc, protocols, type TestClient } from "../support/test-client.js";
import { startTestServer } from "../support/test-server.js";
import { openSubscription } from "../support/test-subscription.js";

const earliest = { case: "position", value: StartPosition.EARLIEST } as const;
const coordinationId = "a-coordination-with-a-name";
const agentId = "an-agent-with-a-name";

/** Three notes, and one of each other type. */
async function sendSamples(client: TestClient): Promise<void> {
  await client.signals.batchSendSignals({ requests: notes(coordinationId, 2, { senderAgentId: "model-generator" }) });
  for (const event of Object.values(fullEvents)) {
    await client.signals.sendSignal({ coordinationId, senderAgentId: "model-generator", event });
  }
}

/** Checks what Prometheus asks of a histogram: buckets that do not fall, the last of them the count, and a sum. */
function checkHistogram(metrics: PrometheusText, name: string): { readonly count: number; readonly sum: number } {
  const buckets = metrics.samples.filter((sample) => sample.name === `${name}_bucket`);
  const counts = buckets.map(({ value }) => value);
  const bounds = buckets.map(({ labels }) => Number(labels["le"]?.replace("+Inf", "Infinity")));
  expect(bounds).toEqual(bounds.toSorted((a, b) => a - b));
  expect(counts).toEqual(counts.toSorted((a, b) => a - b));
  const count = metrics.value(`${name}_count`);
  expect(buckets.at(-1)).toMatchObject({ labels: { le: "+Inf" }, value: count });
  return { count, sum: metrics.value(`${name}_sum`) };
}

describe("/metrics", () => {
  test("is Prometheus' text, with every instrument, and counts what was done", async () => {
    await using server = await startTestServer();
    using client = grpc.connect(server.url);
    using subscription = openSubscription(client.signals, { coordinationId, agentId });
    await subscription.until("subscribed");
    await sendSamples(client);
    await subscription.untilSignals(6);
    await refusalOf(client.signals.sendSignal(note(coordinationId, "", { recipientAgentIds: ["nobody"] })));
    const metrics = await eventually(async () => {
      const scraped = await scrapeMetrics(server.url);
      expect(scraped.value("coordination_signal_propagation_seconds_count")).toBe(6);
      return scraped;
    });
    const byType = { AGENT_INITIALIZED: 1, AGENT_COMPLETED: 1, DEPENDENCY_RESOLVED: 1, INTER_AGENT_MESSAGE: 3 };
    for (const [signalType, count] of Object.entries(byType)) {
      expect(metrics.value("coordination_signals_sent_total", { signal_type: signalType })).toBe(count);
      expect(metrics.value("coordination_signals_received_total", { signal_type: signalType })).toBe(count);
    }
    const propagation = checkHistogram(metrics, "coordination_signal_propagation_seconds");
    expect(propagation.sum).toBeGreaterThan(0);
    const commits = checkHistogram(metrics, "coordination_store_commit_seconds");
    const committed = checkHistogram(metrics, "coordination_commit_batch_signals");
    expect(commits.count).toBe(committed.count);
    expect(committed.sum).toBe(6);
    expect(checkHistogram(metrics, "coordination_delivery_batch_signals").sum).toBe(6);
    expect(metrics.value("coordination_active_subscriptions")).toBe(1);
    expect(metrics.value("coordination_coordinations")).toBe(1);
    expect(metrics.value("coordination_errors_total", { reason: "AGENT_NOT_FOUND" })).toBe(1);
    const method = "coordination.v1.SignalService/SendSignal";
    expect(metrics.value("coordination_calls_total", { method, code: "OK" })).toBe(4);
    expect(metrics.value("coordination_calls_total", { method, code: "NotFound" })).toBe(1);
    expect(metrics.types.get("coordination_signals_sent_total")).toBe("counter");
    expect(metrics.types.get("coordination_active_subscriptions")).toBe("gauge");
    expect(metrics.value("process_resident_memory_bytes")).toBeGreaterThan(0);
  });

  test("has no label that names a coordination, an agent, a path or anything else that a client can make", async () => {
    await using server = await startTestServer();
    using client = grpc.connect(server.url);
    using subscription = openSubscription(client.signals, { coordinationId, agentId, start: earliest });
    await sendSamples(client);
    await subscription.untilSignals(6);
    await refusalOf(client.signals.sendSignal(note(coordinationId, "", { senderAgentId: "no good" })));
    await fetch(`${server.url}/coordination.v1.SignalService/MadeUp`, {
      method: "POST",
      headers: { connection: "close" },
    });
    const { samples } = await scrapeMetrics(server.url);
    const ours = samples.filter(({ name }) => name.startsWith("coordination_"));
    const labels = new Set(ours.flatMap((sample) => Object.keys(sample.labels)));
    expect([...labels].sort()).toEqual(["code", "le", "method", "reason", "signal_type"]);
    const values = samples.flatMap((sample) => Object.values(sample.labels)).join("\n");
    for (const made of [coordinationId, agentId, "model-generator", "no good", "MadeUp"]) {
      expect(values).not.toContain(made);
    }
  });

  test("counts a batch that is committed whole as one commit", async () => {
    await using server = await startTestServer();
    using client = grpc.connect(server.url);
    await client.signals.batchSendSignals({ requests: notes(coordinationId, 100), atomic: true });
    const metrics = await scrapeMetrics(server.url);
    expect(metrics.value("coordination_commit_batch_signals_count")).toBe(1);
    expect(metrics.value("coordination_commit_batch_signals_sum")).toBe(100);
    expect(metrics.value("coordination_commit_batch_signals_bucket", { le: "64" })).toBe(0);
    expect(metrics.value("coordination_commit_batch_signals_bucket", { le: "128" })).toBe(1);
  });

  test("counts a repeated request once", async () => {
    await using server = await startTestServer();
    using client = grpc.connect(server.url);
    for (let attempt = 0; attempt < 3; attempt += 1) {
      await client.signals.sendSignal(note(coordinationId, "once", { requestId: "r" }));
    }
    const labels = { signal_type: "INTER_AGENT_MESSAGE" };
    expect((await scrapeMetrics(server.url)).value("coordination_signals_sent_total", labels)).toBe(1);
    expect((await client.signals.getSignalMetrics({ coordinationId })).totalSignalsSent).toBe(1n);
  });
});

describe.each(protocols)("GetSignalMetrics by $name", ({ connect }) => {
  test("counts sent and received by agent and type, propagation, and how far each subscription lags", async () => {
    await using server = await startTestServer();
    using client = connect(server.url);
    const startedMs = performance.now();
    using all = openSubscription(client.signals, { coordinationId, agentId });
    const filter = { signalTypes: [SignalType.AGENT_COMPLETED, SignalType.INTER_AGENT_MESSAGE] };
    using some = openSubscription(client.signals, { coordinationId, agentId: "other", filter });
    await Promise.all([all.until("subscribed"), some.until("subscribed")]);
    await sendSamples(client);
    await Promise.all([all.untilSignals(6), some.untilSignals(4)]);
    const metrics = await eventually(async () => {
      const read = await client.signals.getSignalMetrics({ coordinationId });
      expect(read.totalSignalsReceived).toBe(10n);
      return read;
    });
    expect(metrics).toMatchObject({
      totalSignalsSent: 6n,
      signalsByType: { AGENT_INITIALIZED: 1n, AGENT_COMPLETED: 1n, DEPENDENCY_RESOLVED: 1n, INTER_AGENT_MESSAGE: 3n },
      signalsReceivedByAgent: { [agentId]: 6n, other: 4n },
      signalsReceivedByType: {
        AGENT_INITIALIZED: 1n,
        AGENT_COMPLETED: 2n,
        DEPENDENCY_RESOLVED: 1n,
        INTER_AGENT_MESSAGE: 6n,
      },
      activeSubscriptions: 2n,
      headSequence: 6n,
      oldestSequence: 1n,
    });
    const counts = metrics.receivedCounts.map(({ agentId: agent, signalType, count }) => [agent, signalType, count]);
    expect(counts).toHaveLength(6);
    expect(counts).toContainEqual([agentId, SignalType.INTER_AGENT_MESSAGE, 3n]);
    expect(counts).toContainEqual(["other", SignalType.AGENT_COMPLETED, 1n]);
    const elapsedMs = performance.now() - startedMs;
    const { averagePropagationMs, p50PropagationMs, p99PropagationMs, maxPropagationMs } = metrics;
    const rising = [0, Number.MIN_VALUE, p50PropagationMs, p99PropagationMs, maxPropagationMs, elapsedMs];
    expect(rising).toEqual(rising.toSorted((a, b) => a - b));
    expect(averagePropagationMs).toBeGreaterThan(0);
    expect(averagePropagationMs).toBeLessThanOrEqual(maxPropagationMs);
    expect(metrics.subscriptionLags).toHaveLength(2);
    expect(metrics.subscriptionLags).toContainEqual(
      expect.objectContaining({ agentId, positionSequence: 6n, deliveryLag: 0n }),
    );
  });
});

describe("GetSignalMetrics", () => {
  test("measures the propagation of the first signal to a subscriber that waited for the coordination", async () => {
    await using server = await startTestServer();
    using client = grpc.connect(server.url);
    using subscription = openSubscription(client.signals, { coordinationId, agentId, start: earliest });
    await subscription.until("subscribed");
    await client.signals.sendSignal(note(coordinationId));
    await subscription.untilSignals(1);
    await eventually(async () => {
      expect((await client.signals.getSignalMetrics({ coordinationId })).averagePropagationMs).toBeGreaterThan(0);
    });
  });

  test("shows the lag of a subscription that does not read, the greatest first", async () => {
    await using server = await startTestServer();
    using client = grpc.connect(server.url);
    using slow = grpc.connect(server.url);
    using deaf = openSubscription(slow.signals, { coordinationId, agentId: "deaf" });
    using quick = openSubscription(client.signals, { coordinationId, agentId: "quick" });
    await Promise.all([deaf.until("subscribed"), quick.until("subscribed")]);
    const requests = notes(coordinationId, 100).map((signal) => ({ ...signal, metadata: { x: "x".repeat(4_000) } }));
    for (let batch = 0; batch < 10; batch += 1) await client.signals.batchSendSignals({ requests });
    await quick.untilSignals(1_000);
    const { subscriptionLags, headSequence } = await client.signals.getSignalMetrics({ coordinationId });
    expect(subscriptionLags.map((lag) => lag.agentId)).toEqual(["deaf", "quick"]);
    const [first, second] = subscriptionLags;
    expect(first?.deliveryLag).toBeGreaterThan(100n);
    expect((first?.positionSequence ?? 0n) + (first?.deliveryLag ?? 0n)).toBe(headSequence);
    expect(second).toMatchObject({ positionSequence: 1_000n, deliveryLag: 0n });
  });

  test.each(["SIGTERM", "SIGKILL"] as const)("keeps its counters over a restart on LMDB (%s)", async (signal) => {
    const directory = await mkdtemp(join(tmpdir(), "coordination-metrics-"));
    try {
      const before = await readBeforeEnd(directory, signal);
      await using server = await spawnServer(["--store", `lmdb:${directory}`]);
      using client = grpc.connect(server.url);
      const after = await client.signals.getSignalMetrics({ coordinationId });
      const { totalSignalsSent, signalsByType, headSequence, epoch } = before;
      expect(after).toMatchObject({ totalSignalsSent, signalsByType, headSequence, epoch, activeSubscriptions: 0n });
      expect(after.totalSignalsSent).toBe(6n);
      // What was received is written in the background: a process that is killed may lose the last seconds of it.
      if (signal === "SIGKILL") return;
      const { totalSignalsReceived, signalsReceivedByAgent, receivedCounts, maxPropagationMs } = before;
      expect(after).toMatchObject({ totalSignalsReceived, signalsReceivedByAgent, receivedCounts, maxPropagationMs });
      expect(after.totalSignalsReceived).toBe(6n);
      expect(after.averagePropagationMs).toBeCloseTo(before.averagePropagationMs, 9);
      await client.signals.sendSignal(note(coordinationId));
      expect((await client.signals.getSignalMetrics({ coordinationId })).totalSignalsSent).toBe(7n);
    } finally {
      await rm(directory, { recursive: true, force: true });
    }
  });
});

/** Sends and receives on a server of its own; reads the metrics before it ends by `signal`. */
async function readBeforeEnd(directory: string, signal: NodeJS.Signals) {
  await using server = await spawnServer(["--store", `lmdb:${directory}`]);
  using client = grpc.connect(server.url);
  using subscription = openSubscription(client.signals, { coordinationId, agentId });
  await subscription.until("subscribed");
  await sendSamples(client);
  await subscription.untilSignals(6);
  const metrics = await eventually(async () => {
    const read = await client.signals.getSignalMetrics({ coordinationId });
    expect(read.totalSignalsReceived).toBe(6n);
    return read;
  });
  subscription.cancel();
  client.disconnect();
  server.kill(signal);
  await server.exited;
  return metrics;
}
