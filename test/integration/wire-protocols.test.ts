import { Code, ConnectError, createClient } from "@connectrpc/connect";
import { createConnectTransport, createGrpcTransport, createGrpcWebTransport } from "@connectrpc/connect-node";
import { SignalService } from "@coordination-signals/proto/coordination/v1/signal_service";
import { ErrorInfoSchema } from "@coordination-signals/proto/google/rpc/error_details";
import {
  Health,
  HealthCheckResponse_ServingStatus as ServingStatus,
} from "@coordination-signals/proto/grpc/health/v1/health";
import { describe, expect, test } from "@jest/globals";
import { HealthState } from "../../server/src/wire/health-state.js";
import { openTestPort } from "../support/open-test-port.js";

const transports = [
  ["gRPC over HTTP/2", (baseUrl: string) => createGrpcTransport({ baseUrl })],
  ["gRPC-Web over HTTP/1.1", (baseUrl: string) => createGrpcWebTransport({ baseUrl, httpVersion: "1.1" })],
  ["gRPC-Web over HTTP/2", (baseUrl: string) => createGrpcWebTransport({ baseUrl, httpVersion: "2" })],
  ["Connect over HTTP/1.1", (baseUrl: string) => createConnectTransport({ baseUrl, httpVersion: "1.1" })],
  ["Connect over HTTP/2", (baseUrl: string) => createConnectTransport({ baseUrl, httpVersion: "2" })],
  [
    "Connect with binary over HTTP/1.1",
    (baseUrl: string) => createConnectTransport({ baseUrl, httpVersion: "1.1", useBinaryFormat: true }),
  ],
] as const;

describe("one port", () => {
  test.each(transports)("serves a unary call by %s", async (_name, transport) => {
    await using server = await openTestPort();
    const client = createClient(Health, transport(server.port.url));
    expect((await client.check({})).status).toBe(ServingStatus.SERVING);
  });

  test.each(transports)("serves a server stream by %s, and ends it at drain", async (_name, transport) => {
    await using server = await openTestPort();
    const client = createClient(Health, transport(server.port.url));
    const seen: ServingStatus[] = [];
    for await (const { status } of client.watch({})) {
      seen.push(status);
      if (seen.length === 1) server.health.setServing(false);
      if (seen.length === 2) void server.port.drain({ graceMs: 5_000 });
    }
    expect(seen).toEqual([ServingStatus.SERVING, ServingStatus.NOT_SERVING]);
  });

  test.each(transports)("lists the health of all services by %s", async (_name, transport) => {
    await using server = await openTestPort({ health: new HealthState(["a.B"]) });
    const { statuses } = await createClient(Health, transport(server.port.url)).list({});
    expect(Object.entries(statuses).map(([service, { status }]) => [service, status])).toEqual([
      ["", ServingStatus.SERVING],
      ["a.B", ServingStatus.SERVING],
    ]);
  });

  test.each(transports)("ends a stream with an error that carries its reason by %s", async (_name, transport) => {
    await using server = await openTestPort({
      routes: (router) => {
        router.service(SignalService, {
          // biome-ignore lint/correctness/useYield: a stream that fails before its first message
          async *subscribe() {
            throw new ConnectError("too much, 100 %", Code.OutOfRange);
          },
        });
      },
    });
    const client = createClient(SignalService, transport(server.port.url));
    const stream = client.subscribe({})[Symbol.asyncIterator]();
    const error = ConnectError.from(await stream.next().catch((reason: unknown) => reason));
    expect([error.code, error.rawMessage]).toEqual([Code.OutOfRange, "too much, 100 %"]);
    expect(error.findDetails(ErrorInfoSchema)).toMatchObject([{ reason: "OUT_OF_RANGE", domain: "coordination.v1" }]);
  });

  test.each(transports)("answers an error with its reason by %s", async (_name, transport) => {
    await using server = await openTestPort();
    const client = createClient(Health, transport(server.port.url));
    const error = ConnectError.from(
      await client.check({ service: "no such, service: 100 %, ä" }).catch((e: unknown) => e),
    );
    expect(error.code).toBe(Code.NotFound);
    expect(error.rawMessage).toBe('service "no such, service: 100 %, ä" is unknown, known are ""');
    expect(error.details).toMatchObject([{ type: "google.rpc.ErrorInfo" }]);
  });
});
