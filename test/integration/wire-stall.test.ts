import { once } from "node:events";
import { connect as connectHttp2, constants } from "node:http2";
import type { ConnectRouter, HandlerContext } from "@connectrpc/connect";
import { SignalService } from "@coordination-signals/proto/coordination/v1/signal_service";
import { describe, expect, test } from "@jest/globals";
import type { StalledResponse } from "../../server/src/wire/port-observer.js";
import { deferred } from "../support/deferred.js";
import { openTestPort } from "../support/open-test-port.js";
import { data, envelope, openingWithEndlessWindow, postHeaders, rawConnect } from "../support/raw-http2.js";

const subscribe = "/coordination.v1.SignalService/Subscribe";
const checkpoint = { item: { case: "checkpoint", value: { cursor: "c".repeat(100_000) } } } as const;

/** A subscription that never runs dry, and what became of it. */
function floodingService() {
  const ended = deferred<string>();
  const cleaned = deferred();
  const routes = (router: ConnectRouter) => {
    router.service(SignalService, {
      async *subscribe(_request, context: HandlerContext) {
        context.signal.addEventListener("abort", () => ended.resolve(String(context.signal.reason)), { once: true });
        try {
          for (;;) yield checkpoint;
        } finally {
          cleaned.resolve();
        }
      },
    });
  };
  return { routes, ended: ended.promise, cleaned: cleaned.promise };
}

/** An observer that resolves with the first stalled response. */
function stallObserver() {
  const first = deferred<StalledResponse>();
  return { observer: { subscriberStalled: first.resolve }, stalled: first.promise };
}

describe("a subscriber that accepts nothing", () => {
  test("is reset with ENHANCE_YOUR_CALM, and its service is told and cleans up", async () => {
    const { routes, ended, cleaned } = floodingService();
    const { observer, stalled } = stallObserver();
    await using server = await openTestPort({ routes, observer, limits: { subscriberStallTimeoutMs: 60 } });
    const session = connectHttp2(server.port.url);
    const stream = session.request({
      ":method": "POST",
      ":path": subscribe,
      "content-type": "application/grpc",
      te: "trailers",
    });
    const failed = once(stream, "error");
    stream.end(envelope(Buffer.alloc(0)));
    await once(stream, "response");
    expect(await stalled).toMatchObject({ path: subscribe, peer: expect.stringMatching(/^127\.0\.0\.1:\d+$/) });
    expect((await stalled).pendingBytes).toBeGreaterThan(0);
    await failed;
    expect(stream.rstCode).toBe(constants.NGHTTP2_ENHANCE_YOUR_CALM);
    expect(await ended).toMatch(/^ConnectError: \[resource_exhausted\] client has accepted nothing for \d+ ms$/);
    await cleaned;
    session.close();
  });

  test("does not disturb another stream of its connection", async () => {
    const { routes } = floodingService();
    const { observer, stalled } = stallObserver();
    await using server = await openTestPort({ routes, observer, limits: { subscriberStallTimeoutMs: 60 } });
    const session = connectHttp2(server.port.url);
    const stream = session.request({
      ":method": "POST",
      ":path": subscribe,
      "content-type": "application/grpc",
      te: "trailers",
    });
    stream.on("error", () => {});
    stream.end(envelope(Buffer.alloc(0)));
    await stalled;
    const page = session.request({ ":path": "/healthz" });
    page.setEncoding("utf8");
    expect((await once(page, "data"))[0]).toBe("ok\n");
    session.close();
  });

  test("is cut off when its whole connection accepts nothing, not even the reset", async () => {
    const { routes, ended, cleaned } = floodingService();
    const { observer, stalled } = stallObserver();
    await using server = await openTestPort({ routes, observer, limits: { subscriberStallTimeoutMs: 60 } });
    await using client = await rawConnect(server.port.address.port, { reads: false });
    client.socket.write(openingWithEndlessWindow());
    client.socket.write(postHeaders(1, subscribe, "application/grpc"));
    client.socket.write(data(1, envelope(Buffer.alloc(0)), true));
    await stalled;
    await ended;
    await cleaned;
  });

  test("is disconnected over HTTP/1.1", async () => {
    const { routes, ended, cleaned } = floodingService();
    const { observer, stalled } = stallObserver();
    await using server = await openTestPort({ routes, observer, limits: { subscriberStallTimeoutMs: 60 } });
    await using client = await rawConnect(server.port.address.port, { reads: false });
    client.socket.write(
      `POST ${subscribe} HTTP/1.1\r\nhost: a\r\ncontent-type: application/connect+json\r\ncontent-length: 7\r\n\r\n`,
    );
    client.socket.write(envelope(Buffer.from("{}")));
    await stalled;
    await ended;
    await cleaned;
  });
});

describe("a subscriber that leaves", () => {
  test("lets its service clean up although it was stalled", async () => {
    const { routes, ended, cleaned } = floodingService();
    await using server = await openTestPort({ routes });
    const session = connectHttp2(server.port.url);
    const stream = session.request({
      ":method": "POST",
      ":path": subscribe,
      "content-type": "application/grpc",
      te: "trailers",
    });
    stream.on("error", () => {});
    stream.end(envelope(Buffer.alloc(0)));
    await once(stream, "response");
    session.destroy();
    await ended;
    await cleaned;
  });
});
