import { create, type DescMessage, fromBinary, type MessageShape, toBinary } from "@bufbuild/protobuf";
import {
  GetSignalHistoryResponseSchema,
  ReplaySignalsResponseSchema,
  SubscribeResponseSchema,
} from "@coordination-signals/proto/coordination/v1/signal_service";
import { describe, expect, test } from "@jest/globals";
import type { TailItem } from "../../../../server/src/delivery/tail-item.js";
import {
  historyResponse,
  replayResponse,
  subscribeResponse,
  wantsBinary,
} from "../../../../server/src/rpc/encoded-response.js";
import { grpcFrame } from "../../../../server/src/rpc/grpc-frame.js";
import { readyFrame } from "../../../../server/src/rpc/ready-frame.js";
import { entryAt } from "../../../support/log-entries.js";

const entries = [entryAt(3n, { metadata: { a: "b" } }), entryAt(5n, { recipientAgentIds: ["x"] }), entryAt(2n ** 40n)];
const signals = entries.map(({ signal }) => signal);

/** What a client decodes of a message as it is sent in binary form. */
function received<Desc extends DescMessage>(schema: Desc, message: MessageShape<Desc>): MessageShape<Desc> {
  return fromBinary(schema, toBinary(schema, message));
}

const items: readonly TailItem[] = [
  { kind: "subscribed", epoch: "e", headSequence: 9n, cursor: "x" },
  { kind: "batch", entries, afterSequence: 0n, throughSequence: 2n ** 40n, cursor: "x" },
  {
    kind: "batch",
    entries: entries.slice(0, 1),
    afterSequence: 2n ** 63n,
    throughSequence: 2n ** 64n - 1n,
    cursor: "",
  },
  { kind: "checkpoint", afterSequence: 0n, throughSequence: 7n, cursor: "x" },
  { kind: "caughtUp", throughSequence: 0n, cursor: "x" },
];

describe("subscribeResponse", () => {
  test.each(items)("is the same message in binary form and for JSON: $kind", (item) => {
    const json = subscribeResponse(item, false);
    expect(json.$unknown).toBeUndefined();
    expect(received(SubscribeResponseSchema, subscribeResponse(item, true))).toEqual(json);
  });

  test("says what the item says", () => {
    const said = items.map((item) => subscribeResponse(item, false).item);
    expect(said).toMatchObject([
      { case: "subscribed", value: { epoch: "e", headSequence: 9n, cursor: "x" } },
      { case: "batch", value: { afterSequence: 0n, throughSequence: 2n ** 40n, cursor: "x" } },
      { case: "batch", value: { afterSequence: 2n ** 63n, throughSequence: 2n ** 64n - 1n, cursor: "" } },
      { case: "checkpoint", value: { afterSequence: 0n, throughSequence: 7n, cursor: "x" } },
      { case: "caughtUp", value: { throughSequence: 0n, cursor: "x" } },
    ]);
    const [, batch] = said;
    expect(batch?.case === "batch" && batch.value.signals).toEqual(signals);
  });
});

describe("historyResponse and replayResponse", () => {
  test("are the same message in binary form and for JSON", () => {
    const page = create(GetSignalHistoryResponseSchema, { signals, nextPageToken: "next" });
    expect(historyResponse(entries, "next", false)).toEqual(page);
    expect(received(GetSignalHistoryResponseSchema, historyResponse(entries, "next", true))).toEqual(page);
    const batch = { entries, afterSequence: 1n, throughSequence: 9n };
    const part = create(ReplaySignalsResponseSchema, { signals, afterSequence: 1n, throughSequence: 9n });
    expect(replayResponse(batch, false)).toEqual(part);
    expect(received(ReplaySignalsResponseSchema, replayResponse(batch, true))).toEqual(part);
  });

  test.each<[string, typeof entries, string]>([
    ["and a next one", entries, "next"],
    ["alone", entries, ""],
    ["of nothing, and a next one", [], "next"],
    ["of nothing", [], ""],
  ])("have a frame that is the message: a page %s", (_, of, nextPageToken) => {
    const page = historyResponse(of, nextPageToken, true);
    expect(readyFrame(page)).toEqual(grpcFrame(toBinary(GetSignalHistoryResponseSchema, page)));
    expect(readyFrame(historyResponse(of, nextPageToken, false))).toBeUndefined();
  });

  test("can hold nothing", () => {
    const page = create(GetSignalHistoryResponseSchema);
    expect(received(GetSignalHistoryResponseSchema, historyResponse([], "", true))).toEqual(page);
    expect(historyResponse([], "", false)).toEqual(page);
  });
});

describe("wantsBinary", () => {
  const context = (requestMethod: string, contentType: string) =>
    ({ requestMethod, requestHeader: new Headers({ "content-type": contentType }) }) as Parameters<
      typeof wantsBinary
    >[0];

  test.each([
    ["POST", "application/grpc", true],
    ["POST", "application/grpc+proto", true],
    ["POST", "application/grpc-web+proto", true],
    ["POST", "application/proto", true],
    ["POST", "application/connect+proto", true],
    ["POST", "application/json", false],
    ["POST", "application/json; charset=utf-8", false],
    ["POST", "application/connect+json", false],
    ["POST", "application/grpc-web+json", false],
    ["GET", "", false],
  ])("%s with %s: %p", (method, contentType, expected) => {
    expect(wantsBinary(context(method, contentType))).toBe(expected);
  });
});
