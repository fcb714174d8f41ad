import { once } from "node:events";
import { createServer, type Http2Server, type ServerHttp2Stream } from "node:http2";
import type { AddressInfo } from "node:net";
import * as net from "node:net";
import { afterEach, describe, expect, test } from "@jest/globals";
import { createCoordinationClient, type Subscription } from "../../../../../client-sdk/src/index.js";

type Answer = (stream: ServerHttp2Stream) => void;

const head = { ":status": 200, "content-type": "application/grpc+proto" };
const emptyFrame = Buffer.of(0, 0, 0, 0, 0);
let server: Http2Server | undefined;

afterEach(async () => {
  const closed = server === undefined ? undefined : once(server, "close");
  server?.close();
  await closed;
});

/** A client whose subscription is answered so; it tries once more after a loss, and then gives up. */
async function subscribeTo(answer: Answer): Promise<{ read: Promise<unknown>; end: () => Promise<void> }> {
  server = createServer();
  server.on("stream", (stream) => {
    // What a client resets is an error event here.
    stream.on("error", () => undefined);
    answer(stream);
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  const { port } = server.address() as AddressInfo;
  const client = createCoordinationClient({ baseUrl: `http://127.0.0.1:${port}`, retry: { initialDelayMs: 1 } });
  const subscription: Subscription = client.coordination("c").subscribe({ reconnectTimeoutMs: 1 });
  subscription.ready().catch(() => undefined);
  return { read: subscription.next().catch((thrown: unknown) => thrown), end: () => client.close() };
}

function trailing(trailers: Record<string, string>, frames: Buffer = Buffer.alloc(0)): Answer {
  return (stream) => {
    stream.respond(head, { waitForTrailers: true });
    stream.on("wantTrailers", () => stream.sendTrailers(trailers));
    stream.end(frames);
  };
}

describe("A subscription's stream", () => {
  test.each<[string, Answer, object]>([
    [
      "a status in its headers",
      (stream) => stream.respond({ ...head, "grpc-status": "5", "grpc-message": "no%20such" }, { endStream: true }),
      { code: "NOT_FOUND", message: "no such" },
    ],
    [
      "a status in its trailers",
      trailing({ "grpc-status": "9", "grpc-message": "no" }),
      { code: "FAILED_PRECONDITION" },
    ],
    [
      "no status",
      (stream) => {
        stream.respond(head);
        stream.end();
      },
      { reason: "CONNECTION_LOST" },
    ],
    [
      "a status within a message",
      trailing({ "grpc-status": "0" }, emptyFrame.subarray(0, 3)),
      { reason: "CONNECTION_LOST" },
    ],
    [
      "a page of a proxy",
      (stream) => {
        stream.respond({ ":status": 503, "content-type": "text/html" });
        stream.end("away");
      },
      { reason: "CONNECTION_LOST" },
    ],
    [
      "a page in the place of messages",
      (stream) => {
        stream.respond({ ":status": 200, "content-type": "text/html" });
        stream.end("hello");
      },
      { code: "UNKNOWN" },
    ],
    ["a reset", (stream) => stream.close(8), { reason: "CONNECTION_LOST" }],
    ["a refusal of its stream", (stream) => stream.close(7), { reason: "CONNECTION_LOST" }],
    ["a reset for a fault", (stream) => stream.close(2), { code: "INTERNAL" }],
    ["the end of its connection", (stream) => stream.session?.destroy(), { reason: "CONNECTION_LOST" }],
    ["a compressed message", trailing({ "grpc-status": "0" }, Buffer.of(1, 0, 0, 0, 0)), { code: "INTERNAL" }],
    [
      "a message that is none",
      trailing({ "grpc-status": "0" }, Buffer.of(0, 0, 0, 0, 1, 0xff)),
      { code: "INVALID_ARGUMENT" },
    ],
  ])("that ends with %s says so", async (_, answer, expected) => {
    const { read, end } = await subscribeTo(answer);
    expect(await read).toMatchObject(expected);
    await end();
  });

  test("that ends because its connection answers no PING counts as lost", async () => {
    const silent = net.createServer();
    silent.on("connection", (socket) => socket.on("error", () => undefined).resume());
    silent.listen(0, "127.0.0.1");
    await once(silent, "listening");
    const { port } = silent.address() as AddressInfo;
    const keepalive = { intervalMs: 10, timeoutMs: 10 };
    const client = createCoordinationClient({ baseUrl: `http://127.0.0.1:${port}`, keepalive });
    const subscription = client.coordination("c").subscribe({ reconnectTimeoutMs: 1 });
    await expect(subscription.ready()).rejects.toMatchObject({ reason: "CONNECTION_LOST", retryable: true });
    await client.close();
    const closed = once(silent, "close");
    silent.close();
    await closed;
  });
});
