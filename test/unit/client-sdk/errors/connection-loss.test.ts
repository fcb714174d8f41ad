import { once } from "node:events";
import * as http2 from "node:http2";
import type { AddressInfo, Socket } from "node:net";
import { Code, ConnectError } from "@connectrpc/connect";
import { describe, expect, test } from "@jest/globals";
import { isConnectionLoss } from "../../../../client-sdk/src/errors/connection-loss.js";
import { createCoordinationClient, InternalError, UnavailableError } from "../../../../client-sdk/src/index.js";

/** A server that treats every call alike, at the level of HTTP/2. */
async function startRawServer(onStream: (stream: http2.ServerHttp2Stream, socket: Socket | undefined) => void) {
  const server = http2.createServer();
  const sessions = new Set<http2.ServerHttp2Session>();
  let socket: Socket | undefined;
  server.on("connection", (connected: Socket) => {
    socket = connected;
  });
  server.on("session", (session) => {
    sessions.add(session);
    session.once("close", () => sessions.delete(session));
    session.on("error", () => undefined);
  });
  server.on("stream", (stream) => {
    stream.on("error", () => undefined);
    onStream(stream, socket);
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  const { port } = server.address() as AddressInfo;
  return {
    url: `http://127.0.0.1:${port}`,
    [Symbol.asyncDispose]: async () => {
      const closed = once(server, "close");
      for (const session of sessions) session.destroy();
      server.close();
      await closed;
    },
  };
}

const respond = (stream: http2.ServerHttp2Stream) =>
  stream.respond({ ":status": 200, "content-type": "application/grpc+proto" });

const losses: [string, Parameters<typeof startRawServer>[0]][] = [
  ["refuses the stream", (stream) => stream.close(http2.constants.NGHTTP2_REFUSED_STREAM)],
  ["cancels the stream", (stream) => stream.close(http2.constants.NGHTTP2_CANCEL)],
  ["asks for calm", (stream) => stream.close(http2.constants.NGHTTP2_ENHANCE_YOUR_CALM)],
  ["ends the session", (stream) => stream.session?.destroy()],
  ["goes away", (stream) => stream.session?.goaway(http2.constants.NGHTTP2_ENHANCE_YOUR_CALM)],
  ["resets the connection", (_, socket) => socket?.resetAndDestroy()],
  [
    "ends the answer without a status",
    (stream) => {
      respond(stream);
      stream.end();
    },
  ],
  [
    "ends the answer inside a message",
    (stream) => {
      respond(stream);
      stream.end(Buffer.from([0, 0, 0, 0, 9, 1]));
    },
  ],
];

describe("a connection is lost when the server", () => {
  test.each(losses)("%s", async (_, misbehave) => {
    await using server = await startRawServer(misbehave);
    await using client = createCoordinationClient({ baseUrl: server.url, retry: { maxAttempts: 1 } });
    const error = await client
      .coordination("c")
      .metrics()
      .catch((thrown: unknown) => thrown);
    expect(error).toBeInstanceOf(UnavailableError);
    expect(error).toMatchObject({ reason: "CONNECTION_LOST", retryable: true });
  });

  test("is not there", async () => {
    const server = await startRawServer(() => undefined);
    await server[Symbol.asyncDispose]();
    await using client = createCoordinationClient({ baseUrl: server.url, retry: { maxAttempts: 1 } });
    await expect(client.coordination("c").metrics()).rejects.toMatchObject({ reason: "CONNECTION_LOST" });
  });
});

describe("a connection is not lost when the server", () => {
  test("reports an internal error of the stream", async () => {
    await using server = await startRawServer((stream) => stream.close(http2.constants.NGHTTP2_INTERNAL_ERROR));
    await using client = createCoordinationClient({ baseUrl: server.url, retry: { maxAttempts: 1 } });
    await expect(client.coordination("c").metrics()).rejects.toThrow(InternalError);
  });
});

describe("isConnectionLoss", () => {
  const failedFetch = (message: string) =>
    new ConnectError(message, Code.Unknown, undefined, undefined, Object.assign(new TypeError(message)));

  test.each(["Failed to fetch", "NetworkError when attempting to fetch resource.", "Load failed", "terminated"])(
    "knows what fetch says: %s",
    (message) => expect(isConnectionLoss(failedFetch(message))).toBe(true),
  );

  test.each<[string, Code]>([
    ["http/2 stream closed with error code REFUSED_STREAM (0x7)", Code.Internal],
    ["http/2 stream closed with error code ENHANCE_YOUR_CALM (0xb)", Code.ResourceExhausted],
    ["the stream was reset", Code.Canceled],
    ["bad gateway", Code.Unavailable],
    ["missing EndStreamResponse", Code.Internal],
    ["protocol error: missing trailer", Code.Internal],
  ])("knows what transports say: %s", (message, code) => {
    expect(isConnectionLoss(new ConnectError(message, code))).toBe(true);
  });

  test("does not take any other TypeError for one", () => {
    expect(isConnectionLoss(failedFetch("x is not a function"))).toBe(false);
    expect(isConnectionLoss(new ConnectError("what", Code.Internal))).toBe(false);
    expect(isConnectionLoss(new ConnectError("missing message", Code.Unimplemented))).toBe(false);
  });

  test("looks through causes, but not for ever", () => {
    const circular: { code: string; cause?: unknown } = { code: "ERR_OTHER" };
    circular.cause = circular;
    expect(isConnectionLoss(new ConnectError("a", Code.Internal, undefined, undefined, circular))).toBe(false);
    const reset = { message: "outer", cause: { code: "ECONNRESET" } };
    expect(isConnectionLoss(new ConnectError("a", Code.Internal, undefined, undefined, reset))).toBe(true);
  });
});
