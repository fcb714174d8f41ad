import { once } from "node:events";
import { connect as connectHttp2 } from "node:http2";
import { type ConnectRouter, createClient } from "@connectrpc/connect";
import { createGrpcTransport } from "@connectrpc/connect-node";
import { SignalService } from "@coordination-signals/proto/coordination/v1/signal_service";
import { Health } from "@coordination-signals/proto/grpc/health/v1/health";
import { describe, expect, test } from "@jest/globals";
import { deferred } from "../support/deferred.js";
import { openTestPort } from "../support/open-test-port.js";
import { findOwnPort } from "../support/own-port.js";
import { data, envelope, openingWithEndlessWindow, postHeaders, rawConnect } from "../support/raw-http2.js";

const subscribe = "/coordination.v1.SignalService/Subscribe";
const metrics = "/coordination.v1.SignalService/GetSignalMetrics";

/** A service whose unary call waits for a latch and whose stream never ends by itself. */
function slowService() {
  const begun = deferred();
  const goOn = deferred();
  const aborted = deferred();
  const routes = (router: ConnectRouter) => {
    router.service(SignalService, {
      getSignalMetrics: async () => {
        begun.resolve();
        await goOn.promise;
        return { headSequence: 7n };
      },
      async *subscribe(_request, { signal }) {
        begun.resolve();
        signal.addEventListener("abort", () => aborted.resolve(), { once: true });
        while (!signal.aborted) yield { item: { case: "checkpoint", value: { cursor: "c".repeat(100_000) } } } as const;
      },
    });
  };
  return { routes, begun: begun.promise, goOn: goOn.resolve, aborted: aborted.promise };
}

describe("draining a port", () => {
  test("answers open calls over HTTP/2 before it ends, after telling the client to go elsewhere", async () => {
    const service = slowService();
    await using server = await openTestPort({ routes: service.routes });
    const client = createClient(SignalService, createGrpcTransport({ baseUrl: server.port.url }));
    const answer = client.getSignalMetrics({ coordinationId: "c" });
    const idle = connectHttp2(server.port.url);
    await once(idle, "connect");
    await service.begun;
    const drained = server.port.drain({ graceMs: 60_000 });
    await once(idle, "close");
    service.goOn();
    expect((await answer).headSequence).toBe(7n);
    await drained;
    expect(server.port.connectionCount()).toBe(0);
  });

  test("answers open calls over HTTP/1.1 and then closes their connections", async () => {
    const service = slowService();
    await using server = await openTestPort({ routes: service.routes });
    const headers = { "content-type": "application/json" };
    const answer = fetch(`${server.port.url}${metrics}`, { method: "POST", headers, body: '{"coordinationId":"c"}' });
    await service.begun;
    const drained = server.port.drain({ graceMs: 60_000 });
    service.goOn();
    expect(await (await answer).json()).toEqual({ headSequence: "7" });
    await drained;
  });

  test("tells clients over HTTP/1.1 that their connection will not be used again", async () => {
    const service = slowService();
    await using server = await openTestPort({ routes: service.routes });
    await using piped = await rawConnect(server.port.address.port, { reads: false });
    const body = '{"coordinationId":"c"}';
    const call = `POST ${metrics} HTTP/1.1\r\nhost: a\r\ncontent-type: application/json\r\ncontent-length: ${body.length}\r\n\r\n${body}`;
    piped.socket.write(call);
    await service.begun;
    void server.port.drain({ graceMs: 60_000 });
    service.goOn();
    const answers: Buffer[] = [];
    for await (const chunk of piped.socket) answers.push(chunk as Buffer);
    expect(Buffer.concat(answers).toString()).toMatch(/connection: close.*headSequence/is);
  });

  test("closes connections that are idle or silent at once, and takes no more", async () => {
    await using server = await openTestPort({ port: await findOwnPort() });
    await using idle = await rawConnect(server.port.address.port);
    idle.socket.write("GET /healthz HTTP/1.1\r\nhost: a\r\n\r\n");
    await once(idle.socket, "data");
    await using silent = await rawConnect(server.port.address.port);
    await server.port.drain({ graceMs: 60_000 });
    await idle.closed;
    await silent.closed;
    await expect(rawConnect(server.port.address.port)).rejects.toMatchObject({ code: "ECONNREFUSED" });
  });

  test("ends health watches with NOT_SERVING when that was said before", async () => {
    await using server = await openTestPort();
    const client = createClient(Health, createGrpcTransport({ baseUrl: server.port.url }));
    const seen: number[] = [];
    for await (const { status } of client.watch({})) {
      seen.push(status);
      if (seen.length > 1) continue;
      server.health.setServing(false);
      void server.port.drain({ graceMs: 60_000 });
    }
    expect(seen).toEqual([1, 2]);
  });

  test("cuts off clients that accept nothing once the grace is over", async () => {
    const service = slowService();
    await using server = await openTestPort({ routes: service.routes });
    const session = connectHttp2(server.port.url);
    const stalled = session.request({ ":method": "POST", ":path": subscribe, "content-type": "application/grpc" });
    stalled.on("error", () => {});
    stalled.end(envelope(Buffer.alloc(0)));
    await using blocked = await rawConnect(server.port.address.port, { reads: false });
    blocked.socket.write(openingWithEndlessWindow());
    blocked.socket.write(postHeaders(1, subscribe, "application/grpc"));
    blocked.socket.write(data(1, envelope(Buffer.alloc(0)), true));
    await once(stalled, "response");
    await service.begun;
    await server.port.drain({ graceMs: 20 });
    await service.aborted;
    expect([server.port.connectionCount(), server.port.callCount()]).toEqual([0, 0]);
  });

  test("may be asked for twice", async () => {
    await using server = await openTestPort();
    await Promise.all([server.port.drain({ graceMs: 10 }), server.port.drain({ graceMs: 10 })]);
  });
});

describe("opening a port", () => {
  test("that is taken says what to do", async () => {
    await using server = await openTestPort();
    await expect(openTestPort({ port: server.port.address.port })).rejects.toThrow(
      /^port \d+ of 127\.0\.0\.1 is in use: stop the process that has it, or choose another with --port/,
    );
  });

  test("on a host that is not this machine says what to do", async () => {
    await expect(openTestPort({ host: "192.0.2.1" })).rejects.toThrow(
      /^host 192\.0\.2\.1 is no address of this machine/,
    );
  });

  test("on IPv6 gives a URL with brackets", async () => {
    await using server = await openTestPort({ host: "::1" });
    expect(server.port.url).toBe(`http://[::1]:${server.port.address.port}`);
    expect((await fetch(`${server.port.url}/healthz`)).status).toBe(200);
  });
});
