import { create, type MessageInitShape } from "@bufbuild/protobuf";
import { createClient, createRouterTransport } from "@connectrpc/connect";
import {
  SignalService,
  SubscribeRequestSchema,
  SubscribeResponseSchema,
} from "@coordination-signals/proto/coordination/v1/signal_service";
import { describe, expect, test } from "@jest/globals";
import { retryPolicyFrom } from "../../../../client-sdk/src/calls/retry-policy.js";
import { SubscriptionPosition } from "../../../../client-sdk/src/subscription/subscription-position.js";
import { SubscriptionReader } from "../../../../client-sdk/src/subscription/subscription-reader.js";
import { streamStartFrom } from "../../../../client-sdk/src/subscription/subscription-start.js";
import type { ItemStream } from "../../../../client-sdk/src/transport/signal-streams.js";
import { ManualClock } from "../support/manual-clock.js";
import { caughtUp, subscribed } from "../support/scripted-log.js";

/** A stream on which these items have arrived; after them it is silent until it is cancelled. */
function arrived(...items: readonly MessageInitShape<typeof SubscribeResponseSchema>[]): ItemStream {
  const waiting = items.map((item) => create(SubscribeResponseSchema, item).item);
  let end: ((reason: unknown) => void) | undefined;
  return {
    arrived: () => {
      if (waiting.length > 0) return Promise.resolve(true);
      return new Promise((_, reject) => {
        end = reject;
      });
    },
    take: () => {
      const item = waiting.shift();
      if (item === undefined) throw new Error("no item has arrived");
      return item;
    },
    cancel: (reason) => end?.(reason),
  };
}

function readerOf(
  subscribe: () => ItemStream,
  options: { readonly signal?: AbortSignal; readonly clock?: ManualClock } = {},
) {
  return new SubscriptionReader({
    client: createClient(
      SignalService,
      createRouterTransport(() => undefined),
    ),
    streams: {
      subscribe,
      sendBatches: () => {
        throw new Error("nothing is sent");
      },
      readHistory: () => {
        throw new Error("no history is read");
      },
      nextTurn: async () => undefined,
    },
    position: new SubscriptionPosition(streamStartFrom("latest"), "sequence"),
    requestFrom: () => create(SubscribeRequestSchema, { coordinationId: "c" }),
    clock: options.clock ?? new ManualClock(),
    retry: retryPolicyFrom(),
    reconnectTimeoutMs: 1_000,
    silenceTimeoutMs: 1_000,
    signal: options.signal ?? new AbortController().signal,
    emit: () => undefined,
  });
}

describe("SubscriptionReader.open", () => {
  test("waits for nothing more when the server has ended the stream", async () => {
    const clock = new ManualClock();
    const ended: ItemStream = { ...arrived(), arrived: () => Promise.resolve(false) };
    await readerOf(() => ended, { clock }).open();
    expect(clock.delaysMs()).toEqual([]);
  });
});

describe("SubscriptionReader.close", () => {
  test("opens no other stream while an item that had arrived is being taken", async () => {
    let opened = 0;
    const closing = new AbortController();
    const subscribe = () => {
      opened += 1;
      return arrived(subscribed(0), caughtUp(0));
    };
    const reader = readerOf(subscribe, { signal: closing.signal });
    await reader.open();
    const read = reader.read();
    closing.abort();
    reader.close();
    await expect(read).rejects.toMatchObject({ name: "CancelledError" });
    expect(opened).toBe(1);
  });
});
