import { describe, expect, test } from "@jest/globals";
import fc from "fast-check";
import { openTestPort, type TestPort } from "../support/open-test-port.js";
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

/**
 * Node.js stops reading an HTTP/2 connection after a fault of its client and keeps it: what ends it is that its client does
 * not answer a ping.
 */
const limits = { keepaliveIntervalMs: 20, keepaliveTimeoutMs: 20 };

/** Sends bytes, ends, and waits until the server has done with them. */
async function send(server: TestPort, bytes: Uint8Array): Promise<string> {
  await using client = await rawConnect(server.port.address.port, { reads: false });
  const answers: Buffer[] = [];
  client.socket.on("data", (chunk) => answers.push(chunk));
  client.socket.end(bytes);
  await client.closed;
  return Buffer.concat(answers).toString("latin1");
}

async function expectToServe(server: TestPort): Promise<void> {
  expect((await fetch(`${server.port.url}/healthz`)).status).toBe(200);
  expect(server.log.filter((line) => line.startsWith("error"))).toEqual([]);
}

describe("a port that is sent garbage", () => {
  test.each([
    ["a TLS greeting", Buffer.from("16030100c8010000c40303", "hex")],
    ["binary zeros", Buffer.alloc(1_000)],
    ["half a preface and then noise", Buffer.from("PRI * HTTP/2.0\r\n\r\nXX\r\n\r\nnoise")],
    [
      "a frame longer than allowed",
      Buffer.concat([openingWithEndlessWindow(), frame(frameType.data, 0, 1, Buffer.alloc(100_000))]),
    ],
    [
      "headers that are no HPACK",
      Buffer.concat([openingWithEndlessWindow(), frame(frameType.headers, 5, 1, Buffer.alloc(50, 0xff))]),
    ],
    ["data on a stream that is not open", Buffer.concat([openingWithEndlessWindow(), data(5, Buffer.from("x"))])],
    ["an HTTP/1.1 header that is none", Buffer.from("GET / HTTP/1.1\r\nbad header\r\n\r\n")],
    ["an HTTP/1.1 header without end", Buffer.from(`GET / HTTP/1.1\r\nx: ${"y".repeat(100_000)}`)],
    ["CONNECT", Buffer.from("CONNECT example.com:443 HTTP/1.1\r\nhost: example.com\r\n\r\n")],
    [
      "an upgrade to a web socket",
      Buffer.from("GET / HTTP/1.1\r\nhost: a\r\nconnection: upgrade\r\nupgrade: websocket\r\n\r\n"),
    ],
    ["HTTP/1.0 without a host", Buffer.from(`POST ${check} HTTP/1.0\r\ncontent-type: application/json\r\n\r\n{}`)],
    ["a path that is no URL", Buffer.from("GET //[ HTTP/1.1\r\nhost: [\r\n\r\n")],
    [
      "an RPC on a host that is no URL",
      Buffer.from(
        `POST ${check} HTTP/1.1\r\nhost: a b[\r\ncontent-type: application/json\r\ncontent-length: 2\r\n\r\n{}`,
      ),
    ],
    [
      "a content-length that is none",
      Buffer.from(
        `POST ${check} HTTP/1.1\r\nhost: a\r\ncontent-type: application/json\r\ncontent-length: -1\r\n\r\n{}`,
      ),
    ],
  ])("goes on after %s, and the connection is closed", async (_name, bytes) => {
    await using server = await openTestPort({ limits });
    await send(server, bytes);
    expect((await fetch(`${server.port.url}/healthz`)).status).toBe(200);
  });

  test("goes on after any bytes, with either protocol's beginning before them", async () => {
    await using server = await openTestPort({ limits });
    const beginning = fc.constantFrom(
      Buffer.alloc(0),
      openingWithEndlessWindow(),
      Buffer.concat([openingWithEndlessWindow(), postHeaders(1, check, "application/grpc")]),
      Buffer.from(
        `POST ${check} HTTP/1.1\r\nhost: a\r\ncontent-type: application/grpc-web+proto\r\ncontent-length: 10000\r\n\r\n`,
      ),
      Buffer.from(
        `POST ${check} HTTP/1.1\r\nhost: a\r\ncontent-type: application/json\r\ntransfer-encoding: chunked\r\n\r\n`,
      ),
    );
    await fc.assert(
      fc.asyncProperty(beginning, fc.uint8Array({ maxLength: 200 }), async (start, bytes) => {
        await send(server, Buffer.concat([start, bytes]));
      }),
      { numRuns: 40 },
    );
    await expectToServe(server);
  });

  test("goes on when clients vanish in the middle of a request and of an answer", async () => {
    await using server = await openTestPort();
    for (const bytes of [
      Buffer.concat([
        openingWithEndlessWindow(),
        postHeaders(1, check, "application/grpc"),
        data(1, Buffer.from([0, 0])),
      ]),
      Buffer.concat([
        openingWithEndlessWindow(),
        postHeaders(1, "/grpc.health.v1.Health/Watch", "application/grpc"),
        data(1, envelope(Buffer.alloc(0)), true),
      ]),
      Buffer.from(
        `POST ${check} HTTP/1.1\r\nhost: a\r\ncontent-type: application/json\r\ncontent-length: 50\r\n\r\n{"serv`,
      ),
      Buffer.from(
        `POST /grpc.health.v1.Health/Watch HTTP/1.1\r\nhost: a\r\ncontent-type: application/connect+json\r\ncontent-length: 7\r\n\r\n\0\0\0\0\x02{}`,
      ),
    ]) {
      await using client = await rawConnect(server.port.address.port);
      await new Promise((resolve) => client.socket.write(bytes, resolve));
      client.socket.resetAndDestroy();
    }
    await expectToServe(server);
  });
});

describe("a message that does not parse", () => {
  test.each([
    ["application/json", '{"service": ', 400],
    ["application/json", '{"servise": "x"}', 400],
    ["application/proto", "\xff\xff\xff", 400],
  ])("as %s %j is INVALID_ARGUMENT with a reason", async (contentType, body, status) => {
    await using server = await openTestPort();
    const answer = await fetch(`${server.port.url}${check}`, {
      method: "POST",
      headers: { "content-type": contentType },
      body: Buffer.from(body, "latin1"),
    });
    expect([answer.status, await answer.json()]).toMatchObject([
      status,
      {
        code: "invalid_argument",
        details: [{ type: "google.rpc.ErrorInfo", debug: { reason: "INVALID_REQUEST", domain: "coordination.v1" } }],
      },
    ]);
  });

  test("names the unknown field", async () => {
    await using server = await openTestPort();
    const answer = await fetch(`${server.port.url}${check}`, {
      method: "POST",
      headers: { "content-type": "application/json" },
      body: '{"servise": "x"}',
    });
    expect((await answer.json()) as object).toMatchObject({
      message: expect.stringMatching(/key "servise" is unknown$/),
    });
  });
});
