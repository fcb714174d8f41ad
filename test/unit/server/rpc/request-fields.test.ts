import { create } from "@bufbuild/protobuf";
import {
  StartPosition,
  type SubscribeRequest,
  SubscribeRequestSchema,
} from "@coordination-signals/proto/coordination/v1/signal_service";
import { describe, expect, test } from "@jest/globals";
import { encodeCursor } from "../../../../server/src/model/cursor.js";
import { optionalTimestamp, pageSizeOf, spanMs, subscriptionStart } from "../../../../server/src/rpc/request-fields.js";

type Start = SubscribeRequest["start"];
const startOf = (start: Start) => subscriptionStart(create(SubscribeRequestSchema, { start }).start);

describe("subscriptionStart", () => {
  test.each<[string, Start, object]>([
    ["nothing", { case: undefined }, { at: "latest" }],
    ["no position", { case: "position", value: StartPosition.UNSPECIFIED }, { at: "latest" }],
    ["LATEST", { case: "position", value: StartPosition.LATEST }, { at: "latest" }],
    ["EARLIEST", { case: "position", value: StartPosition.EARLIEST }, { at: "earliest" }],
    ["a sequence", { case: "afterSequence", value: 5n }, { at: "sequence", afterSequence: 5n }],
  ])("reads %s", (_, start, expected) => {
    expect(startOf(start)).toEqual(expected);
  });

  test("reads a cursor, and refuses what is none", () => {
    const cursor = { epoch: "01890000-0000-7000-8000-000000000001", generation: 1, sequence: 4n };
    expect(startOf({ case: "cursor", value: encodeCursor(cursor) })).toEqual({ at: "cursor", cursor });
    expect(() => startOf({ case: "cursor", value: "x" })).toThrow(
      expect.objectContaining({ reason: "INVALID_CURSOR" }),
    );
  });

  test("reads a time up to the millisecond at which nothing before it can have been accepted", () => {
    const timeOf = (seconds: bigint, nanos: number) =>
      startOf({ case: "startTime", value: { $typeName: "google.protobuf.Timestamp", seconds, nanos } });
    expect(timeOf(2n, 0)).toEqual({ at: "time", timeMs: 2_000 });
    expect(timeOf(2n, 1_000_000)).toEqual({ at: "time", timeMs: 2_001 });
    expect(timeOf(2n, 1)).toEqual({ at: "time", timeMs: 2_001 });
    expect(timeOf(2n, 400_000)).toEqual({ at: "time", timeMs: 2_001 });
    expect(timeOf(-1n, 500_000_000)).toEqual({ at: "time", timeMs: -500 });
  });
});

describe("fields with a default", () => {
  test("have it where nothing is said", () => {
    expect(spanMs(undefined, 5_000)).toBe(5_000);
    expect(spanMs({ $typeName: "google.protobuf.Duration", seconds: 0n, nanos: 100_000_000 }, 5_000)).toBe(100);
    expect(pageSizeOf(0)).toBe(100);
    expect(pageSizeOf(7)).toBe(7);
  });
});

describe("optionalTimestamp", () => {
  test("is not set where there is no time", () => {
    expect(optionalTimestamp(undefined)).toBeUndefined();
    expect(optionalTimestamp(0)).toBeUndefined();
    expect(optionalTimestamp(1_500)).toMatchObject({ seconds: 1n, nanos: 500_000_000 });
  });
});
