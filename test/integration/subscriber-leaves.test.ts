import { once } from "node:events";
import { connect as connectHttp2, constants } from "node:http2";
import { createConnection } from "node:net";
import { gzipSync } from "node:zlib";
import { create, toBinary } from "@bufbuild/protobuf";
import { StartPosition, SubscribeRequestSchema } from "@coordination-signals/proto/coordination/v1/signal_service";
import { afterAll, beforeAll, describe, expect, test } from "@jest/globals";
import { eventually } from "../support/eventually.js";
import { data, envelope, openingWithEndlessWindow, postHeaders, rawConnect } from "../support/raw-http2.js";
import { newCoordinationId, note } from "../support/sample-signals.js";
import { openResources, scrapeMetrics } from "../support/scrape-metrics.js";
import { settle } from "../support/settle.js";
import { spawnProcess } from "../support/spawned-process.js";
import { connectJson, grpc, protocols, type TestClient } from "../support/test-client.js";
import { startTestServer, type TestServer } from "../support/test-server.js";
import { openSubscription } from "../support/test-subscription.js";

const path = "/coordination.v1.SignalService/Subscribe";
const earliest = { case: "position", value: StartPosition.EARLIEST } as const;
const nothingOpen = { subscriptions: 0, calls: 0, connections: 0 };
/** The test's own connection, over which it asks. */
const onlyMine = { ...nothingOpen, connections: 1 };

/** A coordination with more history than any socket's buffers hold. */
async function longHistory(client: TestClient): Promise<string> {
  const coordinationId = newCoordinationId();
  for (let batch = 0; batch < 8; batch += 1) {
    const requests = Array.from({ length: 16 }, () => note(coordinationId, "x".repeat(240_000)));
    await client.signals.batchSendSignals({ requests });
  }
  return coordinationId;
}

/** Waits until the server knows of no reader any more, in each of the places where it counts them. */
async function untilNobodyReads(server: TestServer, client: TestClient, coordinationId: string): Promise<void> {
  await eventually(async () => expect(await openResources(server.url)).toEqual(onlyMine));
  const { activeSubscriptions, subscriptionLags } = await client.signals.getSignalMetrics({ coordinationId });
  expect({ activeSubscriptions, subscriptionLags }).toEqual({ activeSubscriptions: 0n, subscriptionLags: [] });
  const overview = await client.coordinations.getCoordination({ coordinationId });
  expect(overview.activeSubscriptions).toBe(0n);
}

async function endedSubscriptions(server: TestServer, code: string): Promise<number> {
  const method = "coordination.v1.SignalService/Subscribe";
  return (await scrapeMetrics(server.url)).value("coordination_calls_total", { method, code });
}

describe("a subscriber that leaves", () => {
  let server: TestServer;
  let asking: TestClient;
  let coordinationId: string;
  let subscribeRequest: Buffer;
  beforeAll(async () => {
    // Room for two readers only: one whose place is not given back would keep the others out.
    server = await startTestServer(["--max-subscriptions", "2"]);
    asking = connectJson.connect(server.url);
    coordinationId = await longHistory(asking);
    const request = create(SubscribeRequestSchema, { coordinationId, start: earliest });
    subscribeRequest = envelope(toBinary(SubscribeRequestSchema, request));
  });
  afterAll(async () => {
    asking.disconnect();
    await server[Symbol.asyncDispose]();
    expect(server.log.filter(({ msg }) => /unexpected|failed to answer/.test(msg))).toEqual([]);
  });

  const untilCounted = (count: number) =>
    eventually(async () => expect(await openResources(server.url)).toMatchObject({ subscriptions: count }));

  describe.each(protocols)("by $name frees everything", ({ connect }) => {
    test("when it cancels while idle, and is counted as cancelled", async () => {
      using client = connect(server.url);
      const before = await endedSubscriptions(server, "Canceled");
      using subscription = openSubscription(client.signals, { coordinationId, agentId: "a" });
      await subscription.until("caughtUp");
      subscription.cancel();
      await untilCounted(0);
      await eventually(async () => expect(await endedSubscriptions(server, "Canceled")).toBe(before + 1));
      client.disconnect();
      await untilNobodyReads(server, asking, coordinationId);
    });

    test("when it cancels in the middle of history", async () => {
      using client = connect(server.url);
      using subscription = openSubscription(client.signals, { coordinationId, start: earliest });
      await subscription.until("batch");
      subscription.cancel();
      client.disconnect();
      await untilNobodyReads(server, asking, coordinationId);
    });

    test("when it breaks off its loop and closes its connection", async () => {
      using client = connect(server.url);
      for await (const { item } of client.signals.subscribe({ coordinationId, start: earliest })) {
        if (item.case === "batch") break;
      }
      client.disconnect();
      await untilNobodyReads(server, asking, coordinationId);
    });

    test("when its connection is destroyed", async () => {
      using client = connect(server.url);
      using idle = openSubscription(client.signals, { coordinationId });
      using busy = openSubscription(client.signals, { coordinationId, start: earliest });
      await Promise.all([idle.until("caughtUp"), busy.until("batch")]);
      client.disconnect();
      await untilNobodyReads(server, asking, coordinationId);
    });

    test("when its deadline passes", async () => {
      using client = connect(server.url);
      using idle = openSubscription(client.signals, { coordinationId }, { timeoutMs: 60 });
      await idle.untilEnd();
      client.disconnect();
      await untilNobodyReads(server, asking, coordinationId);
    });
  });

  test("frees everything when its process is killed, idle or in the middle of history", async () => {
    for (const position of ["START_POSITION_LATEST", "START_POSITION_EARLIEST"]) {
      const script = `
        const body = Buffer.from(JSON.stringify({ coordinationId: ${JSON.stringify(coordinationId)}, position: "${position}" }));
        const header = Buffer.alloc(5);
        header.writeUInt32BE(body.length, 1);
        const response = await fetch("${server.url}${path}", {
          method: "POST",
          headers: { "content-type": "application/connect+json" },
          body: Buffer.concat([header, body]),
        });
        await response.body.getReader().read();
        console.log("reading");
        setInterval(() => {}, 1_000);`;
      await using reader = await spawnProcess({ args: ["--input-type=module", "-e", script] });
      await reader.waitForOutput(/reading/);
      await untilCounted(1);
      reader.kill("SIGKILL");
      await reader.exited;
      await untilNobodyReads(server, asking, coordinationId);
    }
  });

  test("frees everything when it ends its side of the connection only", async () => {
    const socket = createConnection({ port: Number(new URL(server.url).port), host: "127.0.0.1", allowHalfOpen: true });
    socket.write(openingWithEndlessWindow());
    socket.write(postHeaders(1, path, "application/grpc"));
    socket.write(data(1, envelopeOfIdle(coordinationId), true));
    await untilCounted(1);
    socket.end();
    socket.resume();
    await once(socket, "close");
    await untilNobodyReads(server, asking, coordinationId);
  });

  test("frees everything when it leaves while its compressed request is unpacked", async () => {
    // Said so often that unpacking it takes a while; the last counts.
    const id = create(SubscribeRequestSchema, { coordinationId });
    const message = Buffer.concat(Array.from({ length: 30_000 }, () => toBinary(SubscribeRequestSchema, id)));
    const packed = envelope(gzipSync(message));
    packed[0] = 1;
    const session = connectHttp2(server.url);
    for (let turns = 1; turns <= 40; turns += 1) {
      const headers = { "content-type": "application/grpc", "grpc-encoding": "gzip", te: "trailers" };
      const stream = session.request({ ":method": "POST", ":path": path, ...headers });
      stream.on("error", () => {});
      stream.end(packed);
      await once(stream, "finish");
      await settle(turns);
      stream.close(constants.NGHTTP2_CANCEL);
      await once(stream, "close");
    }
    await untilCounted(0);
    session.destroy();
    await untilNobodyReads(server, asking, coordinationId);
  });

  test("frees everything when it had stopped reading before it left", async () => {
    const session = connectHttp2(server.url);
    const stream = session.request({
      ":method": "POST",
      ":path": path,
      "content-type": "application/grpc",
      te: "trailers",
    });
    stream.on("error", () => {});
    stream.end(subscribeRequest);
    await once(stream, "response");
    await untilCounted(1);
    session.destroy();
    await untilNobodyReads(server, asking, coordinationId);
  });

  test("does not disturb those that stay", async () => {
    using client = grpc.connect(server.url);
    using stays = openSubscription(client.signals, { coordinationId, agentId: "a" });
    using leaves = openSubscription(client.signals, { coordinationId, agentId: "a" });
    await Promise.all([stays.until("caughtUp"), leaves.until("caughtUp")]);
    leaves.cancel();
    await untilCounted(1);
    await asking.signals.sendSignal(note(coordinationId, "still there?"));
    await stays.untilSignals(1);
    stays.cancel();
  });
});

describe("a subscriber that never reads", () => {
  test.each<readonly [string, (request: Buffer) => readonly (string | Buffer)[]]>([
    [
      "gRPC",
      (request) => [openingWithEndlessWindow(), postHeaders(1, path, "application/grpc"), data(1, request, true)],
    ],
    [
      "Connect over HTTP/1.1",
      (request) => [
        `POST ${path} HTTP/1.1\r\nhost: a\r\ncontent-type: application/connect+proto\r\n`,
        `content-length: ${request.byteLength}\r\n\r\n`,
        request,
      ],
    ],
  ])("is ended as too slow, and its connection cut: %s", async (_name, openingOf) => {
    // A client that accepts nothing answers no ping either, which is how its connection ends, after its subscription.
    await using server = await startTestServer(["--subscriber-stall-timeout", "200ms", "--keepalive-interval", "2s"]);
    using asking = connectJson.connect(server.url);
    const coordinationId = await longHistory(asking);
    const request = create(SubscribeRequestSchema, { coordinationId, start: earliest });
    await using deaf = await rawConnect(Number(new URL(server.url).port), { reads: false });
    for (const part of openingOf(envelope(toBinary(SubscribeRequestSchema, request)))) deaf.socket.write(part);
    const reason = "SUBSCRIBER_TOO_SLOW";
    await eventually(async () => {
      expect((await scrapeMetrics(server.url)).value("coordination_errors_total", { reason })).toBe(1);
    });
    await untilNobodyReads(server, asking, coordinationId);
    const lines = server.log.filter((line) => line["reason"] === reason);
    expect(lines).toMatchObject([{ path, msg: "ended a subscriber that accepts nothing" }]);
  });
});

function envelopeOfIdle(coordinationId: string): Buffer {
  return envelope(toBinary(SubscribeRequestSchema, create(SubscribeRequestSchema, { coordinationId })));
}
