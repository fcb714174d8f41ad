import { create } from "@bufbuild/protobuf";
import { createClient } from "@connectrpc/connect";
import { SignalService, SubscribeRequestSchema } from "@coordination-signals/proto/coordination/v1/signal_service";
import { describe, expect, test } from "@jest/globals";
import { SubscriptionStream } from "../../../../client-sdk/src/subscription/subscription-stream.js";
import type { Protocol } from "../../../../client-sdk/src/transport/client-transport.js";
import { createNodeTransport } from "../../../../client-sdk/src/transport/node-transport.js";
import { createLatch } from "../support/latch.js";
import { ManualClock } from "../support/manual-clock.js";
import { subscribed } from "../support/scripted-log.js";
import { clientLeft, startScriptedServer } from "../support/scripted-server.js";

describe("SubscriptionStream.close", () => {
  test.each<[string, Protocol]>([
    ["bytes", "grpc"],
    ["a Connect client", "connect"],
  ])("cancels the stream at the server and leaves no timer, over %s", async (_, protocol) => {
    const left = createLatch();
    await using server = await startScriptedServer({
      signals: {
        async *subscribe(_, context) {
          yield subscribed(0);
          await clientLeft(context);
          left.open();
        },
      },
    });
    const { transport, signalStreams, close } = createNodeTransport({ baseUrl: server.url, protocol });
    const clock = new ManualClock();
    const stream = new SubscriptionStream({
      client: createClient(SignalService, transport),
      request: create(SubscribeRequestSchema, { coordinationId: "c" }),
      streams: signalStreams,
      clock,
      silenceTimeoutMs: 1_000,
      signal: new AbortController().signal,
    });
    expect(await stream.arrived()).toBe(true);
    expect(stream.take()).toMatchObject({ case: "subscribed" });
    expect(clock.delaysMs()).toEqual([1_000]);
    stream.close();
    await left.promise;
    expect(clock.delaysMs()).toEqual([]);
    close();
    await server.idle();
  });
});
