import { once } from "node:events";
import {
  constants,
  createServer,
  type Http2Server,
  type IncomingHttpHeaders,
  type ServerHttp2Stream,
} from "node:http2";
import type { AddressInfo } from "node:net";
import { create, toBinary } from "@bufbuild/protobuf";
import { Code, ConnectError, createClient } from "@connectrpc/connect";
import {
  GetSignalHistoryResponseSchema,
  GetSignalMetricsResponseSchema,
  SignalService,
} from "@coordination-signals/proto/coordination/v1/signal_service";
import { afterEach, describe, expect, test } from "@jest/globals";
import { createNodeTransport } from "../../../../../client-sdk/src/transport/node-transport.js";
import { deferred } from "../../../../support/deferred.js";
import { signalAt } from "../../support/scripted-log.js";

type Answer = (stream: ServerHttp2Stream, headers: IncomingHttpHeaders) => void;

const head = { ":status": 200, "content-type": "application/grpc+proto" };
const metrics = toBinary(GetSignalMetricsResponseSchema, create(GetSignalMetricsResponseSchema, { epoch: "e" }));
const opened: { readonly server: Http2Server; readonly close: () => void }[] = [];

afterEach(async () => {
  for (const { server, close } of opened.splice(0)) {
    const closed = once(server, "close");
    close();
    server.close();
    await closed;
  }
});

function frame(message: Uint8Array): Buffer {
  const header = Buffer.alloc(5);
  header.writeUInt32BE(message.length, 1);
  return Buffer.concat([header, message]);
}

/** Answers with frames and trailers; adds a header to the usual ones. */
function answering(frames: readonly Buffer[], trailers: Record<string, string> = { "grpc-status": "0" }): Answer {
  return (stream) => {
    stream.respond({ ...head, "x-name": "value" }, { waitForTrailers: true });
    stream.on("wantTrailers", () => stream.sendTrailers(trailers));
    stream.end(Buffer.concat(frames));
  };
}

async function clientOf(answer: Answer) {
  const server = createServer();
  server.on("stream", (stream, headers) => {
    // What a client resets is an error event here.
    stream.on("error", () => undefined);
    answer(stream, headers);
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  const { port } = server.address() as AddressInfo;
  const { transport, close } = createNodeTransport({ baseUrl: `http://127.0.0.1:${port}/at`, protocol: "grpc" });
  opened.push({ server, close });
  return createClient(SignalService, transport);
}

function failure(call: Promise<unknown>): Promise<unknown> {
  return call.then(
    () => undefined,
    (thrown: unknown) => thrown,
  );
}

describe("A unary call", () => {
  test("carries its request, and hands on the answer with its headers and trailers", async () => {
    const client = await clientOf((stream, headers) => {
      expect(headers).toMatchObject({ ":path": "/at/coordination.v1.SignalService/GetSignalMetrics", te: "trailers" });
      expect(headers).not.toHaveProperty("grpc-timeout");
      answering([frame(metrics)], { "grpc-status": "0", "x-after": "all" })(stream, headers);
    });
    const seen: string[] = [];
    const response = await client.getSignalMetrics(
      { coordinationId: "c" },
      {
        onHeader: (header) => seen.push(header.get("x-name") ?? ""),
        onTrailer: (trailer) => seen.push(trailer.get("x-after") ?? ""),
      },
    );
    expect(response).toMatchObject({ $typeName: "coordination.v1.GetSignalMetricsResponse", epoch: "e" });
    expect(seen).toEqual(["value", "all"]);
  });

  test("sends headers of the caller's own", async () => {
    const client = await clientOf((stream, headers) => {
      expect(headers).toMatchObject({ "x-mine": "1" });
      answering([frame(metrics)])(stream, headers);
    });
    expect(await client.getSignalMetrics({}, { headers: { "x-mine": "1" } })).toMatchObject({ epoch: "e" });
  });

  test("decodes a page of history", async () => {
    const page = create(GetSignalHistoryResponseSchema, {
      signals: [signalAt(1), signalAt(2, "ü")],
      nextPageToken: "t",
    });
    const client = await clientOf(answering([frame(toBinary(GetSignalHistoryResponseSchema, page))]));
    expect(await client.getSignalHistory({})).toEqual(page);
  });

  test.each([
    [1_500, "1500m"],
    [0.2, "1m"],
    [100_000_001, "100001S"],
  ])("tells the server of a deadline after %p ms as %s", async (timeoutMs, told) => {
    const client = await clientOf((stream, headers) => {
      expect(headers["grpc-timeout"]).toBe(told);
      answering([frame(metrics)])(stream, headers);
    });
    const answered = client.getSignalMetrics({}, { timeoutMs });
    // The shortest can be over before the answer is here.
    if (timeoutMs < 1) expect(["e", Code.DeadlineExceeded]).toContain(await answered.then(epochOf, codeOf));
    else expect(await answered).toMatchObject({ epoch: "e" });
  });

  test.each<[string, Answer, Code]>([
    ["in headers", (stream) => stream.respond({ ...head, "grpc-status": "5" }, { endStream: true }), Code.NotFound],
    ["in trailers", answering([], { "grpc-status": "9", "grpc-message": "no%20way" }), Code.FailedPrecondition],
    ["beside an answer", answering([frame(metrics)], { "grpc-status": "9" }), Code.FailedPrecondition],
    ["well without an answer", answering([]), Code.Unimplemented],
    ["with two answers", answering([frame(metrics), frame(metrics)]), Code.Unimplemented],
    ["inside an answer", answering([frame(metrics).subarray(0, 6)]), Code.InvalidArgument],
    ["with what is no message", answering([frame(Buffer.of(0xff))]), Code.InvalidArgument],
    ["as something else", (stream) => stream.respond({ ":status": 200 }, { endStream: true }), Code.Unknown],
    ["as HTTP alone", (stream) => stream.respond({ ":status": 503 }, { endStream: true }), Code.Unavailable],
    ["with a reset", (stream) => stream.close(constants.NGHTTP2_REFUSED_STREAM), Code.Internal],
  ])("fails when it ends %s", async (_, answer, code) => {
    const client = await clientOf(answer);
    const error = await failure(client.getSignalMetrics({}));
    expect(error).toBeInstanceOf(ConnectError);
    expect(error).toMatchObject({ code });
  });

  test("is given up at its deadline, and its stream with it", async () => {
    const reset = deferred<number>();
    const client = await clientOf((stream) => stream.on("close", () => reset.resolve(stream.rstCode)));
    expect(await failure(client.getSignalMetrics({}, { timeoutMs: 20 }))).toMatchObject({
      code: Code.DeadlineExceeded,
      rawMessage: "the operation timed out.",
    });
    expect(await reset.promise).toBe(constants.NGHTTP2_CANCEL);
  });

  test("is given up when its signal is aborted, before it begins or later", async () => {
    const arrived = deferred<void>();
    const reset = deferred<number>();
    const client = await clientOf((stream) => {
      stream.on("close", () => reset.resolve(stream.rstCode));
      arrived.resolve();
    });
    const controller = new AbortController();
    const error = failure(client.getSignalMetrics({}, { signal: controller.signal }));
    await arrived.promise;
    controller.abort();
    expect(await error).toMatchObject({ code: Code.Canceled });
    expect(await reset.promise).toBe(constants.NGHTTP2_CANCEL);
    expect(await failure(client.getSignalMetrics({}, { signal: controller.signal }))).toMatchObject({
      code: Code.Canceled,
    });
  });

  test("refuses a request that is larger than the server takes", async () => {
    const client = await clientOf(answering([frame(metrics)]));
    const error = await failure(client.getSignalMetrics({ coordinationId: "c".repeat(4 * 1024 * 1024) }));
    expect(error).toMatchObject({ code: Code.ResourceExhausted });
  });
});

function epochOf({ epoch }: { readonly epoch: string }): string {
  return epoch;
}

function codeOf(thrown: unknown): Code {
  return ConnectError.from(thrown).code;
}
