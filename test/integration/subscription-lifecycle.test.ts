import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { create, toBinary } from "@bufbuild/protobuf";
import { StartPosition, SubscribeRequestSchema } from "@coordination-signals/proto/coordination/v1/signal_service";
import { describe, expect, test } from "@jest/globals";
import { eventually } from "../support/eventually.js";
import { data, envelope, openingWithEndlessWindow, postHeaders, rawConnect } from "../support/raw-http2.js";
import { refusalFrom } from "../support/refusal.js";
import { note, notes } from "../support/sample-signals.js";
import { scrapeMetrics } from "../support/scrape-metrics.js";
import { type SpawnedServer, spawnServer } from "../support/spawned-server.js";
import { connectJson, grpc, type TestClient } from "../support/test-client.js";
import { startTestServer } from "../support/test-server.js";
import { checkRangesJoin, openSubscription } from "../support/test-subscription.js";

const earliest = { case: "position", value: StartPosition.EARLIEST } as const;
const coordinationId = "c";

/** A directory that is removed again. */
async function temporaryDirectory(): Promise<AsyncDisposable & { readonly path: string }> {
  const path = await mkdtemp(join(tmpdir(), "coordination-test-"));
  return { path, [Symbol.asyncDispose]: () => rm(path, { recursive: true, force: true }) };
}

describe("a slow subscriber", () => {
  const subscribers = 8;
  const signals = 4_000;
  const padding = "x".repeat(4_000);

  /** Sends signals with the numbers after `first`, through `last`. */
  const send = async (client: TestClient, first: number, last: number): Promise<void> => {
    for (let sent = first; sent < last; sent += 100) {
      const requests = Array.from({ length: 100 }, (_, index) =>
        note(coordinationId, `${sent + index + 1} ${padding}`),
      );
      await client.signals.batchSendSignals({ requests });
    }
  };

  test("gets everything in order while the server's memory does not grow with what it has to catch up on", async () => {
    await using directory = await temporaryDirectory();
    await using server = await spawnServer(["--store", `lmdb:${directory.path}`], {
      NODE_OPTIONS: `--import ${import.meta.resolve("../support/collect-garbage-on-signal.mjs")}`,
    });
    using sender = grpc.connect(server.url);
    const readers = Array.from({ length: subscribers }, () => grpc.connect(server.url));
    const subscriptions = readers.map((reader) => openSubscription(reader.signals, { coordinationId }));
    for (const subscription of subscriptions) await subscription.until("subscribed");
    // From here on nobody reads: a quarter of it fills the sockets and what the server holds for each.
    await send(sender, 0, signals / 4);
    const before = await heldMb(server);
    await send(sender, signals / 4, signals);
    const { subscriptionLags } = await sender.signals.getSignalMetrics({ coordinationId });
    expect(subscriptionLags).toHaveLength(subscribers);
    for (const { deliveryLag } of subscriptionLags) expect(deliveryLag).toBeGreaterThan(BigInt(signals / 2));
    const queuedMb = (subscribers * signals * 0.75 * padding.length) / 1e6;
    expect((await heldMb(server)) - before).toBeLessThan(queuedMb / 3);

    for (const subscription of subscriptions) {
      const read = await subscription.untilSignals(signals);
      expect(read.map(({ sequence }) => sequence)).toEqual(Array.from({ length: signals }, (_, i) => BigInt(i + 1)));
      checkRangesJoin(subscription.items);
    }
    for (const reader of readers) reader.disconnect();
  }, 120_000);
});

describe("batches", () => {
  test("hold one signal while a subscriber keeps up, and many when it lags", async () => {
    await using server = await startTestServer();
    using client = grpc.connect(server.url);
    using subscription = openSubscription(client.signals, { coordinationId });
    await subscription.until("subscribed");
    for (let sent = 1; sent <= 5; sent += 1) {
      await client.signals.sendSignal(note(coordinationId));
      await subscription.untilSignals(sent);
    }
    expect(batchSizes(subscription.items)).toEqual([1, 1, 1, 1, 1]);

    using late = openSubscription(client.signals, { coordinationId });
    await late.until("caughtUp");
    // Larger than the sockets' buffers together, so that the subscriber lags before it reads on.
    for (let batch = 0; batch < 20; batch += 1) {
      const requests = notes(coordinationId, 100).map((signal) => ({ ...signal, metadata: { x: "x".repeat(4_000) } }));
      await client.signals.batchSendSignals({ requests });
    }
    await late.untilSignals(2_000);
    expect(Math.max(...batchSizes(late.items))).toBeGreaterThan(100);
    checkRangesJoin(late.items);
    const metrics = await scrapeMetrics(server.url);
    expect(metrics.value("coordination_delivery_batch_signals_bucket", { le: "1" })).toBeGreaterThanOrEqual(5);
  });

  test("are cut at 1 MiB and 1,000 signals", async () => {
    await using server = await startTestServer();
    using client = grpc.connect(server.url);
    for (let batch = 0; batch < 3; batch += 1) {
      await client.signals.batchSendSignals({ requests: notes(coordinationId, 1_000) });
    }
    await client.signals.batchSendSignals({
      requests: Array.from({ length: 15 }, () => note(coordinationId, "x".repeat(240_000))),
    });
    using subscription = openSubscription(client.signals, { coordinationId, start: earliest });
    await subscription.untilSignals(3_015);
    const sizes = batchSizes(subscription.items);
    expect(Math.max(...sizes)).toBe(1_000);
    expect(sizes.at(-1)).toBeLessThanOrEqual(4);
    checkRangesJoin(subscription.items);
  });
});

describe("a server that restarts in the middle of a stream", () => {
  const total = 60;

  test.each(["SIGTERM", "SIGKILL"] as const)("loses nothing and repeats nothing (%s)", async (signal) => {
    await using directory = await temporaryDirectory();
    const start = () => spawnServer(["--store", `lmdb:${directory.path}`]);
    const first = await start();
    let server = first;
    let client: TestClient = grpc.connect(server.url);
    let subscription = openSubscription(client.signals, { coordinationId, start: earliest });
    const received: string[] = [];
    let cursor = "";
    try {
      const epochs = new Set<string>();
      for (let sent = 1; sent <= total; sent += 1) {
        const request = note(coordinationId, String(sent), { requestId: String(sent) });
        if (sent === total / 2) {
          // One send is on its way while the server ends: only a repetition can tell what became of it.
          const unknown = client.signals.sendSignal(request).catch(() => undefined);
          server.kill(signal);
          await Promise.all([unknown, subscription.untilEnd(), server.exited]);
          ({ cursor } = progress(subscription.items, cursor));
          received.push(...subscription.signals.map(messageOf));
          client.disconnect();
          server = await start();
          client = grpc.connect(server.url);
          subscription = openSubscription(client.signals, { coordinationId, start: { case: "cursor", value: cursor } });
        }
        epochs.add((await client.signals.sendSignal(request)).epoch);
        // The reader keeps up with most, so that some of what was sent is still on its way when the server ends.
        if (sent % 10 === 5) while (received.length + subscription.signals.length < sent) await subscription.next();
      }
      while (received.length + subscription.signals.length < total) await subscription.next();
      received.push(...subscription.signals.map(messageOf));
      expect(received).toEqual(Array.from({ length: total }, (_, index) => String(index + 1)));
      checkRangesJoin(subscription.items);
      expect(epochs.size).toBe(1);
      const metrics = await client.signals.getSignalMetrics({ coordinationId });
      expect(metrics).toMatchObject({ totalSignalsSent: BigInt(total), headSequence: BigInt(total) });
    } finally {
      client.disconnect();
      await server.stop();
    }
    expect(await first.exited).toEqual(signal === "SIGTERM" ? { code: 0, signal: null } : { code: null, signal });
  });
});

describe("SIGTERM", () => {
  test("ends subscriptions with UNAVAILABLE after a last checkpoint, and the process with 0, whoever is stalled", async () => {
    await using server = await spawnServer();
    using client = grpc.connect(server.url);
    using web = connectJson.connect(server.url);
    const requests = Array.from({ length: 16 }, () => note(coordinationId, "x".repeat(240_000)));
    for (let batch = 0; batch < 8; batch += 1) await client.signals.batchSendSignals({ requests });
    const filter = { senderAgentIds: ["nobody"] };
    const subscriptions = [client, web].map(({ signals }) => openSubscription(signals, { coordinationId, filter }));
    for (const subscription of subscriptions) await subscription.until("caughtUp");
    const stalled = await Promise.all(["deaf", "deaf", "silent", "half"].map((kind) => openStalled(server.port, kind)));
    await eventually(async () => {
      expect((await scrapeMetrics(server.url)).value("coordination_active_subscriptions")).toBe(4);
    });
    // Ends of itself, with 0: a server that does not is killed after 15 seconds, and says so after 9.5.
    expect(await server.stop()).toEqual({ code: 0, signal: null });
    expect(server.stderr()).not.toContain("not shut down");
    for (const subscription of subscriptions) {
      const error = await subscription.untilEnd();
      expect(refusalFrom(error)).toMatchObject({ code: "Unavailable", reason: "SHUTTING_DOWN", retryDelayMs: 100 });
      expect(subscription.items.at(-1)).toMatchObject({ case: "checkpoint", value: { throughSequence: 128n } });
      checkRangesJoin(subscription.items);
    }
    for (const connection of stalled) await connection[Symbol.asyncDispose]();
  }, 60_000);
});

/** Heap and buffers of a server's process, in megabytes. */
async function heldMb(server: SpawnedServer): Promise<number> {
  const collections = () => server.stderr().split("garbage collected").length;
  const before = collections();
  server.kill("SIGUSR2");
  await eventually(() => expect(collections()).toBeGreaterThan(before));
  const metrics = await scrapeMetrics(server.url);
  return (metrics.value("nodejs_heap_size_used_bytes") + metrics.value("nodejs_external_memory_bytes")) / 1e6;
}

type Items = ReturnType<typeof openSubscription>["items"];

function batchSizes(items: Items): readonly number[] {
  return items.flatMap((item) => (item.case === "batch" ? item.value.signals.length : []));
}

/** The cursor of the last item that has one. */
function progress(items: Items, before: string): { readonly cursor: string } {
  let cursor = before;
  for (const { value } of items) if (value !== undefined && value.cursor !== "") cursor = value.cursor;
  return { cursor };
}

function messageOf({
  event,
}: {
  readonly event: { readonly case?: string | undefined; readonly value?: unknown };
}): string {
  const { message } = event.value as { readonly message: string };
  return message;
}

/** A connection that hinders an end: a subscriber that never reads, one that says nothing, a request that never arrives in full. */
async function openStalled(port: number, kind: string) {
  const connection = await rawConnect(port, { reads: false });
  const request = create(SubscribeRequestSchema, { coordinationId, start: earliest });
  const body = envelope(toBinary(SubscribeRequestSchema, request));
  if (kind === "silent") return connection;
  connection.socket.write(openingWithEndlessWindow());
  connection.socket.write(postHeaders(1, "/coordination.v1.SignalService/Subscribe", "application/grpc"));
  connection.socket.write(kind === "half" ? data(1, body.subarray(0, 6)) : data(1, body, true));
  return connection;
}
