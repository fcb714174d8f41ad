import { once } from "node:events";
import { connect } from "node:http2";
import * as net from "node:net";
import { setImmediate } from "node:timers/promises";
import { create, toBinary } from "@bufbuild/protobuf";
import {
  HistoryOrder,
  StreamSignalsRequestSchema,
  type StreamSignalsResponse,
} from "@coordination-signals/proto/coordination/v1/signal_service";
import { describe, expect, test } from "@jest/globals";
import { MemorySignalStore } from "../../server/src/store/memory/memory-signal-store.js";
import { deferred } from "../support/deferred.js";
import { eventually } from "../support/eventually.js";
import { ObservedStore } from "../support/observed-store.js";
import { envelope } from "../support/raw-http2.js";
import { refusalFromStatus, refusalOf } from "../support/refusal.js";
import { newCoordinationId, note, notes, type SignalInit } from "../support/sample-signals.js";
import { scrapeMetrics } from "../support/scrape-metrics.js";
import { grpc, protocols, type TestClient } from "../support/test-client.js";
import { startTestServer } from "../support/test-server.js";

/** A batch as a test gives it. */
interface BatchInit {
  readonly requests: SignalInit[];
  readonly atomic?: boolean;
}

/** A stream that a test feeds and reads by hand. */
function openStream({ signals }: TestClient, signal?: AbortSignal) {
  const waiting: BatchInit[] = [];
  let isEnded = false;
  let wake: () => void = () => undefined;
  let taken = 0;
  async function* requests() {
    for (;;) {
      const batch = waiting.shift();
      if (batch !== undefined) {
        taken += 1;
        yield { batch };
      } else if (isEnded) return;
      else await new Promise<void>((resolve) => (wake = resolve));
    }
  }
  const answers = signals.streamSignals(requests(), signal && { signal })[Symbol.asyncIterator]();
  return {
    /** Batches that the client has taken to send. */
    taken: () => taken,
    send: (...batches: BatchInit[]) => {
      waiting.push(...batches);
      wake();
    },
    end: () => {
      isEnded = true;
      wake();
    },
    /** The next answer's results. */
    async next(): Promise<NonNullable<StreamSignalsResponse["batch"]>["results"]> {
      const { value, done } = await answers.next();
      if (done === true) throw new Error("the stream has ended");
      return value.batch?.results ?? [];
    },
    ended: async () => expect(await answers.next()).toMatchObject({ done: true }),
    failed: () => refusalOf(answers.next()),
  };
}

type Results = Awaited<ReturnType<ReturnType<typeof openStream>["next"]>>;

/** The sequences of what was stored, and the reasons of what was refused. */
function outcomes(results: Results): readonly (bigint | string | undefined)[] {
  return results.map(({ result }) => {
    if (result.case === "response") return result.value.sequence;
    return result.case === "error" ? refusalFromStatus(result.value).reason : undefined;
  });
}

async function storedTexts(client: TestClient, coordinationId: string): Promise<readonly unknown[]> {
  const { signals } = await client.signals.getSignalHistory({ coordinationId, order: HistoryOrder.OLDEST_FIRST });
  return signals.map(({ event }) => (event.case === "interAgentMessage" ? event.value.message : event.case));
}

const overHttp2 = protocols.filter(({ name }) => name.endsWith("HTTP/2"));

describe.each(overHttp2)("StreamSignals by $name", ({ connect }) => {
  test("answers every batch in its order, and ends when the client does", async () => {
    await using server = await startTestServer();
    using client = connect(server.url);
    const coordinationId = newCoordinationId();
    const stream = openStream(client);
    const sizes = Array.from({ length: 30 }, (_, index) => 1 + (index % 7));
    stream.send(...sizes.map((size) => ({ requests: notes(coordinationId, size) })));
    let last = 0;
    for (const size of sizes) {
      expect(outcomes(await stream.next())).toEqual(
        Array.from({ length: size }, (_, index) => BigInt(last + index + 1)),
      );
      last += size;
    }
    stream.end();
    await stream.ended();
  });

  test("refuses single signals, and atomic batches whole, and goes on", async () => {
    await using server = await startTestServer();
    using client = connect(server.url);
    const coordinationId = newCoordinationId();
    const toNobody = note(coordinationId, "lost", { recipientAgentIds: ["nobody"] });
    const invalid = note(coordinationId, "bad", { senderAgentId: "no good" });
    const stream = openStream(client);
    stream.send(
      { requests: [note(coordinationId, "a"), toNobody, invalid, note(coordinationId, "b")] },
      { requests: [note(coordinationId), toNobody, note(coordinationId)], atomic: true },
      { requests: [note(coordinationId), note("another")], atomic: true },
      { requests: [note(coordinationId, "c"), note(coordinationId, "d")], atomic: true },
    );
    expect(outcomes(await stream.next())).toEqual([1n, "AGENT_NOT_FOUND", "INVALID_REQUEST", 2n]);
    const refused = await stream.next();
    expect(outcomes(refused)).toEqual(["AGENT_NOT_FOUND", "AGENT_NOT_FOUND", "AGENT_NOT_FOUND"]);
    const refusals = refused.map(({ result }) => result.case === "error" && refusalFromStatus(result.value));
    expect(refusals).toMatchObject([
      { metadata: { index: "1" }, message: "requests[1] of the atomic batch was refused" },
      { metadata: { index: "1", agent_id: "nobody" } },
      { metadata: { index: "1" } },
    ]);
    expect(outcomes(await stream.next())).toEqual(["INVALID_REQUEST", "INVALID_REQUEST"]);
    expect(outcomes(await stream.next())).toEqual([3n, 4n]);
    stream.end();
    await stream.ended();
    expect(await storedTexts(client, coordinationId)).toEqual(["a", "b", "c", "d"]);
    // One line for each signal that was at fault, and one error counted.
    const reasons = server.log.filter(({ msg }) => msg === "failed to send signal").map((line) => line["reason"]);
    expect(reasons).toEqual(["INVALID_REQUEST", "AGENT_NOT_FOUND", "AGENT_NOT_FOUND", "INVALID_REQUEST"]);
    const metrics = await scrapeMetrics(server.url);
    expect(metrics.value("coordination_errors_total", { reason: "AGENT_NOT_FOUND" })).toBe(2);
  });

  test("ends with INVALID_REQUEST at a batch that is none, after the answers before it", async () => {
    await using server = await startTestServer();
    using client = connect(server.url);
    const coordinationId = newCoordinationId();
    const stream = openStream(client);
    stream.send({ requests: notes(coordinationId, 2) }, { requests: [] }, { requests: notes(coordinationId, 1) });
    expect(outcomes(await stream.next())).toEqual([1n, 2n]);
    expect(await stream.failed()).toMatchObject({ code: "InvalidArgument", reason: "INVALID_REQUEST" });
    expect(await storedTexts(client, coordinationId)).toEqual(["1", "2"]);
  });
});

describe("StreamSignals", () => {
  test("keeps the order of batches that have to be decompressed", async () => {
    await using server = await startTestServer();
    using client = grpc.connect(server.url, { compresses: true });
    const coordinationId = newCoordinationId();
    const stream = openStream(client);
    stream.send(...Array.from({ length: 20 }, (_, index) => ({ requests: [note(coordinationId, `${index}`)] })));
    stream.end();
    for (let sequence = 1n; sequence <= 20n; sequence += 1n) expect(outcomes(await stream.next())).toEqual([sequence]);
    await stream.ended();
    expect(await storedTexts(client, coordinationId)).toEqual(Array.from({ length: 20 }, (_, index) => `${index}`));
  });

  test("gives a repeated request its first answer", async () => {
    await using server = await startTestServer();
    using client = grpc.connect(server.url);
    const coordinationId = newCoordinationId();
    const stream = openStream(client);
    const requests = [note(coordinationId, "once", { requestId: "r" })];
    stream.send({ requests }, { requests });
    expect(outcomes(await stream.next())).toEqual([1n]);
    const [again] = await stream.next();
    expect(again?.result).toMatchObject({ case: "response", value: { sequence: 1n, deduplicated: true } });
    stream.end();
    await stream.ended();
  });

  test("answers what it has begun and ends with UNAVAILABLE when the server shuts down", async () => {
    const store = new ObservedStore(new MemorySignalStore());
    await using server = await startTestServer([], store);
    using client = grpc.connect(server.url);
    const coordinationId = newCoordinationId();
    const [held, arrived] = [deferred(), deferred()];
    store.hooks = {
      beforeCommit: () => {
        arrived.resolve();
        return held.promise;
      },
    };
    const stream = openStream(client);
    stream.send({ requests: notes(coordinationId, 2) });
    await arrived.promise;
    const stopped = server.stop();
    held.resolve();
    expect(outcomes(await stream.next())).toEqual([1n, 2n]);
    expect(await stream.failed()).toMatchObject({ code: "Unavailable", reason: "SHUTTING_DOWN", retryDelayMs: 100 });
    await stopped;
  });

  test("stores nothing behind a batch that has to be repeated", async () => {
    const store = new ObservedStore(new MemorySignalStore(), { failureIsFatal: false });
    await using server = await startTestServer([], store);
    using client = grpc.connect(server.url);
    const coordinationId = newCoordinationId();
    await client.signals.sendSignal(note(coordinationId, "before"));
    const [held, arrived] = [deferred(), deferred()];
    let failures = 0;
    store.hooks = {
      beforeCommit: async () => {
        arrived.resolve();
        await held.promise;
        failures += 1;
        if (failures === 1) throw new Error("EIO");
      },
    };
    const stream = openStream(client);
    stream.send({ requests: notes(coordinationId, 1) });
    await arrived.promise;
    // Begun while the first one's commit is on its way to failing.
    stream.send({ requests: [note(coordinationId, "behind")] }, { requests: [note("elsewhere", "behind")] });
    await eventually(() => expect(stream.taken()).toBe(3));
    for (let turn = 0; turn < 50; turn += 1) await setImmediate();
    held.resolve();
    expect(outcomes(await stream.next())).toEqual(["STORE_UNAVAILABLE"]);
    expect(await stream.failed()).toMatchObject({ code: "Unavailable", reason: "STORE_UNAVAILABLE" });
    expect(await storedTexts(client, coordinationId)).toEqual(["before"]);
    expect((await refusalOf(client.coordinations.getCoordination({ coordinationId: "elsewhere" }))).reason).toBe(
      "COORDINATION_NOT_FOUND",
    );
  });

  test.each<[string, (client: TestClient, leave: AbortController) => void]>([
    ["leaves", (_, leave) => leave.abort()],
    ["is cut off", (client) => client.disconnect()],
  ])("is freed when its client %s while nothing is on its way", async (_, end) => {
    await using server = await startTestServer();
    using client = grpc.connect(server.url);
    const leave = new AbortController();
    const stream = openStream(client, leave.signal);
    stream.send({ requests: notes(newCoordinationId(), 1) });
    expect(outcomes(await stream.next())).toEqual([1n]);
    const failed = stream.failed();
    end(client, leave);
    await failed;
    stream.end();
    client.disconnect();
    await server.untilUnused();
  });

  test("is freed when the process of its client is killed", async () => {
    await using server = await startTestServer();
    const socket = net.connect(Number(new URL(server.url).port), "127.0.0.1");
    const session = connect(server.url, { createConnection: () => socket });
    const stream = session.request({
      ":method": "POST",
      ":path": "/coordination.v1.SignalService/StreamSignals",
      "content-type": "application/grpc+proto",
      te: "trailers",
    });
    // What becomes of it here is of no interest.
    for (const each of [session, stream]) each.on("error", () => undefined);
    const batch = { requests: notes(newCoordinationId(), 1) };
    stream.write(envelope(toBinary(StreamSignalsRequestSchema, create(StreamSignalsRequestSchema, { batch }))));
    await once(stream, "data");
    socket.destroy();
    await server.untilUnused();
    using client = grpc.connect(server.url);
    await client.coordinations.listCoordinations({});
  });

  test("is freed when its client leaves in the middle, whose batches are stored", async () => {
    const store = new ObservedStore(new MemorySignalStore());
    await using server = await startTestServer([], store);
    using client = grpc.connect(server.url);
    const coordinationId = newCoordinationId();
    const [held, arrived] = [deferred(), deferred()];
    store.hooks = {
      beforeCommit: () => {
        arrived.resolve();
        return held.promise;
      },
    };
    const leave = new AbortController();
    const stream = openStream(client, leave.signal);
    stream.send({ requests: notes(coordinationId, 1) });
    const failed = stream.failed();
    await arrived.promise;
    leave.abort();
    expect((await failed).code).toBe("Canceled");
    held.resolve();
    await eventually(async () => expect(await storedTexts(client, coordinationId)).toEqual(["1"]));
    stream.end();
    client.disconnect();
    await server.untilUnused();
  });
});
