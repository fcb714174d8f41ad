import { create, toBinary } from "@bufbuild/protobuf";
import { BinaryWriter, WireType } from "@bufbuild/protobuf/wire";
import {
  SendSignalRequestSchema,
  SubscribeRequestSchema,
} from "@coordination-signals/proto/coordination/v1/signal_service";
import { afterAll, beforeAll, describe, expect, test } from "@jest/globals";
import { enveloped, type RawResponse, requestHttp1, requestHttp2 } from "../support/raw-http.js";
import { note } from "../support/sample-signals.js";
import { type SpawnedServer, spawnServer } from "../support/spawned-server.js";
import { connectJson } from "../support/test-client.js";

const sendSignal = "/coordination.v1.SignalService/SendSignal";
const subscribe = "/coordination.v1.SignalService/Subscribe";
const history = "/coordination.v1.SignalService/GetSignalHistory";
const json = { "content-type": "application/json" };
const levels = 10_000;

describe("requests that no typed client sends", () => {
  let server: SpawnedServer;
  beforeAll(async () => {
    server = await spawnServer();
  });
  afterAll(async () => {
    // Whatever was sent, the process lives, foresaw it, and ends as it should.
    expect(await server.stop()).toEqual({ code: 0, signal: null });
    expect(server.stderr()).not.toContain("unexpected error");
    expect(server.stderr()).not.toContain("failed to answer");
  });

  const postJson = (path: string, body: string) => requestHttp1(server.url, { path, body, headers: json });

  describe("fields that the server does not know, in JSON", () => {
    test.each([
      [
        "a request",
        sendSignal,
        { coordinationId: "c", senderAgentId: "a", agentCompleted: {}, prioritty: 1 },
        "prioritty",
      ],
      [
        "an event",
        sendSignal,
        { coordinationId: "c", senderAgentId: "a", agentCompleted: { qualityScor: 1 } },
        "qualityScor",
      ],
      ["a filter", history, { coordinationId: "c", filter: { signal_typ: [] } }, "signal_typ"],
      ["a request for a stream", subscribe, { coordinationId: "c", filter: { sender: "x" } }, "sender"],
    ])("are refused in %s", async (_name, path, request, field) => {
      const body = JSON.stringify(request);
      if (path === subscribe) {
        const headers = { "content-type": "application/connect+json" };
        const response = await requestHttp1(server.url, { path, body: enveloped(Buffer.from(body)), headers });
        expect(endOfStream(response)).toMatchObject({
          error: { code: "invalid_argument", details: [errorInfo("INVALID_REQUEST")] },
        });
        expect(response.body).toContain(field);
        return;
      }
      const response = await postJson(path, body);
      expect(response.status).toBe(400);
      expect(JSON.parse(response.body)).toMatchObject({
        code: "invalid_argument",
        message: expect.stringContaining(field),
        details: [errorInfo("INVALID_REQUEST")],
      });
    });
  });

  describe("payloads of 10,000 levels", () => {
    const expected = { code: "invalid_argument", message: expect.stringMatching(/nested|depth|recursion/) };

    test.each([
      ["objects", '{"k":', "}"],
      ["arrays", '{"k":[', "]}"],
    ])("are refused in JSON of %s, with what is wrong", async (_name, opening, closing) => {
      const payload = `${opening.repeat(levels)}null${closing.repeat(levels)}`;
      const body = `{"coordinationId":"c","senderAgentId":"a","interAgentMessage":{"payload":${payload}}}`;
      const response = await postJson(sendSignal, body);
      expect(response.status).toBe(400);
      expect(JSON.parse(response.body)).toMatchObject({ ...expected, details: [errorInfo("INVALID_REQUEST")] });
    });

    test("are refused in binary, with what is wrong", async () => {
      const headers = { "content-type": "application/proto" };
      const response = await requestHttp1(server.url, { path: sendSignal, body: deepRequest(), headers });
      expect(response.status).toBe(400);
      expect(JSON.parse(response.body)).toMatchObject({ ...expected, details: [errorInfo("INVALID_REQUEST")] });
    });

    test("are refused over gRPC, with what is wrong", async () => {
      const { trailers } = await requestHttp2(server.url, {
        path: sendSignal,
        body: enveloped(deepRequest()),
        headers: { "content-type": "application/grpc", te: "trailers" },
      });
      expect(trailers).toMatchObject({
        "grpc-status": "3",
        "grpc-message": expect.stringMatching(/nested|depth|recursion/),
      });
    });
  });

  describe("deadlines", () => {
    test("end a stream of the Connect protocol with DEADLINE_EXCEEDED by the server's clock", async () => {
      const response = await requestHttp1(server.url, {
        path: subscribe,
        body: enveloped(Buffer.from('{"coordinationId":"waits"}')),
        headers: { "content-type": "application/connect+json", "connect-timeout-ms": "50" },
      });
      expect(response.status).toBe(200);
      expect(endOfStream(response)).toMatchObject({ error: { code: "deadline_exceeded" } });
    });

    test("end a stream of gRPC with DEADLINE_EXCEEDED by the server's clock", async () => {
      const request = create(SubscribeRequestSchema, { coordinationId: "waits" });
      const { trailers } = await requestHttp2(server.url, {
        path: subscribe,
        body: enveloped(toBinary(SubscribeRequestSchema, request)),
        headers: { "content-type": "application/grpc", te: "trailers", "grpc-timeout": "50m" },
      });
      expect(trailers).toMatchObject({ ":status": 200, "grpc-status": "4" });
    });

    test.each(["x", "-1", "1e3"])("that cannot be read are refused: %s", async (timeout) => {
      const headers = { ...json, "connect-timeout-ms": timeout };
      const response = await requestHttp1(server.url, { path: history, body: '{"coordinationId":"c"}', headers });
      expect(JSON.parse(response.body)).toMatchObject({ code: "invalid_argument" });
    });
  });

  describe("GET", () => {
    test("reads what has no side effects", async () => {
      using client = connectJson.connect(server.url, { useHttpGet: true });
      await client.signals.sendSignal(note("get", "by GET"));
      const message = encodeURIComponent('{"coordinationId":"get"}');
      const response = await requestHttp1(server.url, {
        method: "GET",
        path: `${history}?connect=v1&encoding=json&message=${message}`,
        body: "",
      });
      expect(JSON.parse(response.body)).toMatchObject({ signals: [{ interAgentMessage: { message: "by GET" } }] });
      expect((await client.signals.getSignalHistory({ coordinationId: "get" })).signals).toHaveLength(1);
      expect((await client.signals.getSignalMetrics({ coordinationId: "get" })).totalSignalsSent).toBe(1n);
    });

    test("sends nothing", async () => {
      const message = encodeURIComponent('{"coordinationId":"get","senderAgentId":"a","agentCompleted":{}}');
      const path = `${sendSignal}?connect=v1&encoding=json&message=${message}`;
      const response = await requestHttp1(server.url, { method: "GET", path, body: "" });
      expect(response.status).toBe(405);
      expect(JSON.parse(response.body)).toMatchObject({ message: "method GET is not allowed, use POST" });
    });
  });

  test.each([
    ["text that is no JSON", '{"coordinationId":'],
    ["a list", "[]"],
    ["a number where a text belongs", '{"coordinationId":5}'],
    [
      "an enum's value that does not exist",
      '{"coordinationId":"c","senderAgentId":"a","agentCompleted":{},"priority":"URGENT"}',
    ],
    [
      "half a surrogate pair",
      '{"coordinationId":"c","senderAgentId":"a","agentCompleted":{"resultSummary":"\\ud800"}}',
    ],
  ])("refuses %s", async (_name, body) => {
    const response = await postJson(sendSignal, body);
    expect(response.status).toBe(400);
    expect(JSON.parse(response.body)).toMatchObject({
      code: "invalid_argument",
      details: [errorInfo("INVALID_REQUEST")],
    });
  });

  test("refuses binary messages that are damaged", async () => {
    const good = toBinary(SendSignalRequestSchema, create(SendSignalRequestSchema, note("damaged")));
    const headers = { "content-type": "application/proto" };
    for (const body of [good.subarray(0, -3), Buffer.from([0xff, 0xff, 0xff]), Buffer.from([0x0a, 0x02, 0xff, 0xfe])]) {
      const response = await requestHttp1(server.url, { path: sendSignal, body, headers });
      expect(response.status).toBe(400);
      expect(JSON.parse(response.body)).toMatchObject({
        code: "invalid_argument",
        details: [errorInfo("INVALID_REQUEST")],
      });
    }
  });
});

function errorInfo(reason: string) {
  return { type: "google.rpc.ErrorInfo", debug: expect.objectContaining({ reason, domain: "coordination.v1" }) };
}

/** What the last envelope of a stream of the Connect protocol in JSON says. */
function endOfStream({ body }: RawResponse): unknown {
  const [end] = body.match(/\{[^\0]*\}\s*$/) ?? [""];
  return JSON.parse(end);
}

/** A request whose payload has 10,000 levels: written from the innermost outwards, lengths first. */
function deepRequest(): Buffer {
  const parts: Uint8Array[] = [];
  let length = 0;
  const wrap = (fieldNumber: number, before: Uint8Array = new Uint8Array()) => {
    length += before.length;
    parts.push(before);
    const header = new BinaryWriter().tag(fieldNumber, WireType.LengthDelimited).uint32(length).finish();
    length += header.length;
    parts.push(header);
  };
  const key = new BinaryWriter().tag(1, WireType.LengthDelimited).string("k").finish();
  for (let level = 1; level < levels; level += 1) {
    wrap(5); // Value.struct_value
    wrap(2); // FieldsEntry.value
    wrap(1, key); // Struct.fields
  }
  wrap(5); // InterAgentMessage.payload
  wrap(19); // SendSignalRequest.inter_agent_message
  const ids = new BinaryWriter()
    .tag(1, WireType.LengthDelimited)
    .string("c")
    .tag(2, WireType.LengthDelimited)
    .string("a");
  return Buffer.concat([ids.finish(), ...parts.reverse()]);
}
