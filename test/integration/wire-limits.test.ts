import { once } from "node:events";
import { request as httpRequest } from "node:http";
import { connect as connectHttp2, constants } from "node:http2";
import { create, toBinary } from "@bufbuild/protobuf";
import { Code, ConnectError, createClient } from "@connectrpc/connect";
import { compressionGzip, createConnectTransport, createGrpcTransport } from "@connectrpc/connect-node";
import { Health, HealthCheckRequestSchema } from "@coordination-signals/proto/grpc/health/v1/health";
import { describe, expect, test } from "@jest/globals";
import { openTestPort } from "../support/open-test-port.js";
import {
  data,
  envelope,
  frame,
  frameType,
  openingWithEndlessWindow,
  postHeaders,
  rawConnect,
} from "../support/raw-http2.js";

const check = "/grpc.health.v1.Health/Check";

function healthClient(url: string) {
  return createClient(Health, createGrpcTransport({ baseUrl: url }));
}

async function failure(promise: Promise<unknown>): Promise<ConnectError> {
  return ConnectError.from(
    await promise.then(
      () => new Error("did not fail"),
      (error: unknown) => error,
    ),
  );
}

describe("a port under load it must bear", () => {
  test("closes a connection that never speaks", async () => {
    await using server = await openTestPort({ limits: { prefaceTimeoutMs: 40 } });
    await using silent = await rawConnect(server.port.address.port);
    await silent.closed;
  });

  test("closes a connection that speaks one byte and no more", async () => {
    await using server = await openTestPort({ limits: { prefaceTimeoutMs: 40 } });
    await using slow = await rawConnect(server.port.address.port);
    slow.socket.write("P");
    await slow.closed;
  });

  test("closes a connection whose HTTP/2 preface has no settings", async () => {
    await using server = await openTestPort({ limits: { prefaceTimeoutMs: 40 } });
    await using slow = await rawConnect(server.port.address.port);
    slow.socket.write("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n");
    await slow.closed;
  });

  test("closes a connection whose first HTTP/1.1 header never ends", async () => {
    await using server = await openTestPort({ limits: { prefaceTimeoutMs: 40 } });
    await using slow = await rawConnect(server.port.address.port);
    slow.socket.write("GET /healthz HTTP/1.1\r\nhost: localhost\r\nx-");
    const dribble = setInterval(() => slow.socket.write("a"), 5);
    await slow.closed;
    clearInterval(dribble);
  });

  test("tells POST from PRI when they arrive byte by byte", async () => {
    await using server = await openTestPort();
    await using slow = await rawConnect(server.port.address.port, { reads: false });
    const answer = once(slow.socket, "data") as Promise<[Buffer]>;
    for (const byte of "POST /healthz HTTP/1.1\r\nhost: localhost\r\ncontent-length: 0\r\n\r\n") {
      slow.socket.write(byte);
      await new Promise((resolve) => setImmediate(resolve));
    }
    expect((await answer)[0].toString()).toMatch(/^HTTP\/1\.1 405 /);
  });

  test("closes connections that are without a call for too long, over either version of HTTP", async () => {
    await using server = await openTestPort({ limits: { idleTimeoutMs: 250 } });
    const session = connectHttp2(server.port.url);
    const goAway = once(session, "goaway");
    await using kept = await rawConnect(server.port.address.port);
    kept.socket.write("GET /healthz HTTP/1.1\r\nhost: localhost\r\n\r\n");
    await goAway;
    await once(session, "close");
    await kept.closed;
  });

  test("keeps a connection with an open call beyond the idle timeout", async () => {
    await using server = await openTestPort({ limits: { idleTimeoutMs: 250 } });
    const seen: number[] = [];
    const other = connectHttp2(server.port.url);
    for await (const { status } of healthClient(server.port.url).watch({})) {
      seen.push(status);
      if (seen.length === 2) break;
      // The other connection has been idle for as long as the watch was silent, and is closed.
      await once(other, "close");
      server.health.setServing(false);
    }
    expect(seen).toEqual([1, 2]);
  });

  test("closes an HTTP/2 connection whose client leaves a ping unanswered", async () => {
    await using server = await openTestPort({ limits: { keepaliveIntervalMs: 30, keepaliveTimeoutMs: 30 } });
    await using dead = await rawConnect(server.port.address.port);
    dead.socket.write(openingWithEndlessWindow());
    expect(await dead.frame(({ type }) => type === frameType.ping)).toBeDefined();
    await dead.closed;
  });

  test("keeps an HTTP/2 connection whose client answers pings", async () => {
    await using server = await openTestPort({ limits: { keepaliveIntervalMs: 20, keepaliveTimeoutMs: 2_000 } });
    await using alive = await rawConnect(server.port.address.port);
    alive.socket.write(openingWithEndlessWindow());
    for (let pings = 0; pings < 5; pings += 1) {
      const ping = await alive.frame(({ type, flags }) => type === frameType.ping && flags === 0);
      alive.socket.write(frame(frameType.ping, 1, 0, ping?.payload));
    }
    expect(server.port.connectionCount()).toBe(1);
  });

  test("refuses connections beyond the limit and tells its observer", async () => {
    let refused = 0;
    const observer = {
      connectionRefused: () => {
        refused += 1;
      },
    };
    await using server = await openTestPort({ limits: { maxConnections: 1 }, observer });
    await using first = await rawConnect(server.port.address.port);
    first.socket.write("GET /healthz HTTP/1.1\r\nhost: localhost\r\n\r\n");
    await once(first.socket, "data");
    await using second = await rawConnect(server.port.address.port);
    await second.closed;
    expect(refused).toBe(1);
    expect(server.port.connectionCount()).toBe(1);
  });

  test("refuses calls beyond the limit of all connections as safe to repeat", async () => {
    const refused: string[] = [];
    await using server = await openTestPort({
      limits: { maxCalls: 1 },
      observer: { callRefused: (reason) => void refused.push(reason) },
    });
    const watching = healthClient(server.port.url).watch({})[Symbol.asyncIterator]();
    await watching.next();
    const session = connectHttp2(server.port.url);
    const stream = session.request({ ":method": "POST", ":path": check, "content-type": "application/grpc" });
    await once(stream, "close").catch(() => {});
    expect(stream.rstCode).toBe(constants.NGHTTP2_REFUSED_STREAM);
    session.close();
    const busy = await fetch(`${server.port.url}/healthz`);
    expect([busy.status, await busy.text()]).toEqual([503, '{"code":"unavailable","message":"too many open calls"}']);
    expect(refused).toEqual(["TOO_MANY_CALLS", "TOO_MANY_CALLS"]);
  });

  test("announces the most streams of one connection", async () => {
    await using server = await openTestPort({ limits: { maxStreamsPerConnection: 7 } });
    const session = connectHttp2(server.port.url);
    const [settings] = await once(session, "remoteSettings");
    expect(settings.maxConcurrentStreams).toBe(7);
    session.close();
  });

  test("refuses a pipeline of more HTTP/1.1 calls than a connection may have", async () => {
    await using server = await openTestPort({ limits: { maxStreamsPerConnection: 3 } });
    await using piped = await rawConnect(server.port.address.port, { reads: false });
    const body = envelope(Buffer.from("{}"));
    const call = `POST /grpc.health.v1.Health/Watch HTTP/1.1\r\nhost: a\r\ncontent-type: application/connect+json\r\ncontent-length: ${body.byteLength}\r\n\r\n${body.toString("latin1")}`;
    piped.socket.write(Buffer.from(call.repeat(5), "latin1"));
    await once(piped.socket, "data");
    expect(server.port.callCount()).toBe(3);
  });
});

describe("a request that is too large", () => {
  const transports = [
    ["gRPC", (baseUrl: string) => createGrpcTransport({ baseUrl })],
    ["Connect over HTTP/2", (baseUrl: string) => createConnectTransport({ baseUrl, httpVersion: "2" })],
    ["Connect over HTTP/1.1", (baseUrl: string) => createConnectTransport({ baseUrl, httpVersion: "1.1" })],
  ] as const;

  test.each(transports)("is answered with RESOURCE_EXHAUSTED by %s, and others go on", async (_name, transport) => {
    await using server = await openTestPort({ limits: { maxRequestBytes: 100_000 } });
    const client = createClient(Health, transport(server.port.url));
    const watching = client.watch({})[Symbol.asyncIterator]();
    expect((await watching.next()).value).toMatchObject({ status: 1 });
    const error = await failure(client.check({ service: "x".repeat(200_000) }));
    expect(error.code).toBe(Code.ResourceExhausted);
    expect(error.rawMessage).toMatch(/^request is \d+ bytes, limit is 100000$/);
    expect(error.details).toMatchObject([{ type: "google.rpc.ErrorInfo" }]);
    server.health.setServing(false);
    expect((await watching.next()).value).toMatchObject({ status: 2 });
  });

  test("is refused by what its header claims, before it is sent", async () => {
    await using server = await openTestPort({ limits: { maxRequestBytes: 100_000 } });
    await using client = await rawConnect(server.port.address.port);
    client.socket.write(openingWithEndlessWindow());
    client.socket.write(postHeaders(1, check, "application/grpc"));
    client.socket.write(data(1, Buffer.from([0, 0xff, 0xff, 0xff, 0xff])));
    const trailers = await client.frame(({ type, flags }) => type === frameType.headers && (flags & 1) === 1);
    expect(trailers?.streamId).toBe(1);
  });

  test("does not keep its claimed size: unfinished requests count by what has arrived", async () => {
    await using server = await openTestPort({
      limits: { maxRequestBytes: 1_000_000, maxUnfinishedRequestBytes: 2_000 },
    });
    await using client = await rawConnect(server.port.address.port);
    client.socket.write(openingWithEndlessWindow());
    // Four claims of 1 MB each are nothing; the 4,000 bytes that follow on the fourth are too much.
    for (const id of [1, 3, 5, 7]) {
      client.socket.write(postHeaders(id, check, "application/grpc"));
      client.socket.write(data(id, Buffer.from([0, 0, 0x0f, 0x42, 0x40])));
    }
    client.socket.write(data(7, Buffer.alloc(4_000)));
    const trailers = await client.frame(({ type, flags }) => type === frameType.headers && (flags & 1) === 1);
    expect(trailers?.streamId).toBe(7);
  });
});

describe("a request in pieces", () => {
  test("is served when every byte is a frame of its own", async () => {
    await using server = await openTestPort();
    await using client = await rawConnect(server.port.address.port);
    client.socket.write(openingWithEndlessWindow());
    client.socket.write(postHeaders(1, check, "application/grpc"));
    const bytes = envelope(toBinary(HealthCheckRequestSchema, create(HealthCheckRequestSchema, { service: "" })));
    for (const byte of bytes) client.socket.write(data(1, Buffer.from([byte])));
    client.socket.write(data(1, Buffer.alloc(0), true));
    expect((await client.frame(({ type }) => type === frameType.data))?.payload.toString("hex")).toBe("00000000020801");
    // A stream that has ended well on both sides is not reset.
    client.socket.write(frame(frameType.ping, 0, 0, Buffer.alloc(8)));
    const next = await client.frame(({ type }) => type === frameType.rstStream || type === frameType.ping);
    expect(next?.type).toBe(frameType.ping);
  });

  test("is refused when 400 KB come in frames of one byte, and the connection goes on", async () => {
    const refused: string[] = [];
    await using server = await openTestPort({ observer: { callRefused: (reason) => void refused.push(reason) } });
    await using client = await rawConnect(server.port.address.port);
    client.socket.write(openingWithEndlessWindow());
    client.socket.write(postHeaders(1, check, "application/grpc"));
    client.socket.write(data(1, Buffer.from([0, 0, 6, 0x1a, 0x80])));
    const oneByte = data(1, Buffer.alloc(1));
    client.socket.write(Buffer.concat(Array.from({ length: 400_000 }, () => oneByte)));
    client.socket.write(postHeaders(3, check, "application/grpc"));
    client.socket.write(data(3, envelope(Buffer.alloc(0)), true));
    const trailers = await client.frame(({ type, flags }) => type === frameType.headers && (flags & 1) === 1);
    expect(trailers?.streamId).toBe(1);
    const reset = await client.frame(({ type }) => type === frameType.rstStream);
    expect(reset?.payload.readUInt32BE()).toBe(constants.NGHTTP2_NO_ERROR);
    const answer = await client.frame(({ type }) => type === frameType.data);
    expect([answer?.streamId, answer?.payload.toString("hex")]).toEqual([3, "00000000020801"]);
    expect(refused).toEqual(["INVALID_REQUEST"]);
  });

  test("fails with DEADLINE_EXCEEDED when it does not arrive in time", async () => {
    await using server = await openTestPort({ limits: { requestTimeoutMs: 40 } });
    const session = connectHttp2(server.port.url);
    const stream = session.request({
      ":method": "POST",
      ":path": check,
      "content-type": "application/grpc",
      te: "trailers",
    });
    stream.write(Buffer.from([0, 0]));
    const [headers] = await once(stream.resume(), "response");
    expect([headers["grpc-status"], headers["grpc-message"]]).toEqual([
      "4",
      "request has not arrived in full within 40 ms",
    ]);
    session.close();
  });

  test("fails when it does not arrive in time over HTTP/1.1, with an answer the client can read", async () => {
    await using server = await openTestPort({ limits: { requestTimeoutMs: 40, idleTimeoutMs: 250 } });
    const headers = { "content-type": "application/json", "content-length": "100" };
    const request = httpRequest(`${server.port.url}${check}`, { method: "POST", headers });
    request.on("error", () => {});
    request.write('{"service":');
    const [response] = await once(request, "response");
    expect(response.statusCode).toBe(504);
    response.resume();
    await once(response, "close");
    request.destroy();
  });

  test.each([
    ["as cancelled", constants.NGHTTP2_CANCEL],
    ["without a fault", constants.NGHTTP2_NO_ERROR],
  ])("that is cut off %s is not executed although what arrived would decode", async (_name, code) => {
    const checked: string[] = [];
    await using server = await openTestPort({
      interceptors: [
        (next) => (request) => {
          checked.push(request.method.name);
          return next(request);
        },
      ],
    });
    await using client = await rawConnect(server.port.address.port);
    const cancel = Buffer.alloc(4);
    cancel.writeUInt32BE(code);
    client.socket.write(openingWithEndlessWindow());
    client.socket.write(postHeaders(1, check, "application/proto"));
    // Whole as a message, of which more was to come: the service "a" of "agent".
    client.socket.write(data(1, Buffer.from([0x0a, 0x01, 0x61])));
    // Answered when the server has taken notice of what came before.
    client.socket.write(frame(frameType.ping, 0, 0, Buffer.alloc(8)));
    await client.frame(({ type, flags }) => type === frameType.ping && flags === 1);
    client.socket.write(frame(frameType.rstStream, 0, 1, cancel));
    client.socket.write(postHeaders(3, check, "application/proto"));
    client.socket.write(data(3, Buffer.alloc(0), true));
    await client.frame(({ type, streamId }) => type === frameType.data && streamId === 3);
    expect(checked).toEqual(["Check"]);
  });
});

describe("compression", () => {
  test("is accepted in requests and not used in answers, so that it cannot hold back a stream", async () => {
    await using server = await openTestPort();
    const accepted: (string | null)[] = [];
    const client = createClient(
      Health,
      createConnectTransport({
        baseUrl: server.port.url,
        httpVersion: "2",
        sendCompression: compressionGzip,
        acceptCompression: [compressionGzip],
        compressMinBytes: 1,
        interceptors: [
          (next) => async (request) => {
            const response = await next(request);
            accepted.push(response.header.get("content-encoding"));
            return response;
          },
        ],
      }),
    );
    const error = await failure(client.check({ service: "long".repeat(1_000) }));
    expect(error.code).toBe(Code.NotFound);
    await client.check({});
    expect(accepted).toEqual([null]);
  });
});

describe("a deadline beyond what a timer can hold", () => {
  test.each([
    ["grpc-timeout", "application/grpc"],
    ["connect-timeout-ms", "application/proto"],
  ])("in %s does not end the call at once", async (header, contentType) => {
    await using server = await openTestPort();
    const session = connectHttp2(server.port.url);
    const stream = session.request({
      ":method": "POST",
      ":path": check,
      "content-type": contentType,
      te: "trailers",
      [header]: header === "grpc-timeout" ? "99999999H" : "9999999999",
    });
    stream.end(contentType === "application/grpc" ? envelope(Buffer.alloc(0)) : undefined);
    const chunks: Buffer[] = [];
    for await (const chunk of stream) chunks.push(chunk as Buffer);
    expect(Buffer.concat(chunks).toString("hex")).toMatch(/0801$/);
    session.close();
  });
});
