import { once } from "node:events";
import { type ClientHttp2Session, type ClientHttp2Stream, connect, constants } from "node:http2";
import { create, toBinary } from "@bufbuild/protobuf";
import {
  SendSignalRequestSchema,
  SubscribeRequestSchema,
} from "@coordination-signals/proto/coordination/v1/signal_service";
import { afterAll, beforeAll, describe, expect, test } from "@jest/globals";
import { enveloped } from "../support/raw-http.js";
import { startTestServer, type TestServer } from "../support/test-server.js";

const sendSignal = "/coordination.v1.SignalService/SendSignal";
const subscribe = "/coordination.v1.SignalService/Subscribe";

describe("an error of a gRPC call", () => {
  let server: TestServer;
  let session: ClientHttp2Session;
  beforeAll(async () => {
    server = await startTestServer();
    session = connect(server.url);
  });
  afterAll(async () => {
    session.destroy();
    await server[Symbol.asyncDispose]();
  });

  const open = (path: string, headers: Readonly<Record<string, string>> = {}): ClientHttp2Stream =>
    session.request({
      ":method": "POST",
      ":path": path,
      "content-type": "application/grpc",
      te: "trailers",
      ...headers,
    });
  const unfit = enveloped(toBinary(SendSignalRequestSchema, create(SendSignalRequestSchema)));

  test("comes in the place of headers where nothing came before, or no retry policy of a client would repeat the call", async () => {
    const stream = open(sendSignal);
    const response = once(stream, "response");
    stream.end(unfit);
    const [headers, flags] = await response;
    expect(headers).toMatchObject({
      ":status": 200,
      "content-type": "application/grpc",
      "grpc-status": "3",
      "grpc-message": expect.stringContaining("coordination_id"),
      "grpc-status-details-bin": expect.any(String),
    });
    expect(flags & constants.NGHTTP2_FLAG_END_STREAM).toBe(constants.NGHTTP2_FLAG_END_STREAM);
    stream.resume();
    await once(stream, "close");
    expect(stream.rstCode).toBe(constants.NGHTTP2_NO_ERROR);
  });

  test("ends a request that goes on", async () => {
    const stream = open(sendSignal, { "grpc-encoding": "unknown" });
    const response = once(stream, "response");
    stream.write(unfit);
    expect((await response)[0]).toMatchObject({ "grpc-status": "12" });
    stream.resume();
    await once(stream, "close");
    expect(stream.rstCode).toBe(constants.NGHTTP2_NO_ERROR);
  });

  test("comes behind the messages that came before", async () => {
    const stream = open(subscribe, { "grpc-timeout": "300m" });
    const response = once(stream, "response");
    const trailers = once(stream, "trailers");
    stream.end(
      enveloped(toBinary(SubscribeRequestSchema, create(SubscribeRequestSchema, { coordinationId: "waits" }))),
    );
    stream.resume();
    expect((await response)[0]).not.toHaveProperty("grpc-status");
    expect((await trailers)[0]).toMatchObject({ "grpc-status": "4" });
  });
});
