import { fromBinary } from "@bufbuild/protobuf";
import { SubscribeResponseSchema } from "@coordination-signals/proto/coordination/v1/signal_service";
import { describe, expect, test } from "@jest/globals";
import type { TailItem } from "../../../../server/src/delivery/tail-item.js";
import { LogEntry } from "../../../../server/src/model/log-entry.js";
import { SubscriptionFrames } from "../../../../server/src/rpc/subscription-frames.js";

const headerBytes = 5;

function entry(sequence: bigint): LogEntry {
  return new LogEntry({ sequence, bytes: new Uint8Array([0x18, Number(sequence)]) });
}

function batch(entries: readonly LogEntry[], cursor = "here"): TailItem {
  const throughSequence = entries.at(-1)?.sequence ?? 0n;
  return { kind: "batch", entries, afterSequence: 0n, throughSequence, cursor };
}

describe("SubscriptionFrames.frameOf", () => {
  test("gives readers at the same place the same bytes", () => {
    const frames = new SubscriptionFrames();
    const entries = [entry(1n), entry(2n)];
    expect(frames.frameOf(batch([...entries]))).toBe(frames.frameOf(batch([...entries])));
  });

  test.each([
    ["of another log", batch([entry(1n), entry(2n)])],
    ["through another cursor", batch([entry(1n), entry(2n)], "there")],
    ["with fewer signals", batch([entry(2n)])],
  ])("encodes a batch %s for itself", (_name, other) => {
    const frames = new SubscriptionFrames();
    const first = frames.frameOf(batch([entry(1n), entry(2n)]));
    const frame = frames.frameOf(other);
    expect(frame).not.toBe(first);
    const { item } = fromBinary(SubscribeResponseSchema, frame.subarray(headerBytes));
    const expected = other.kind === "batch" ? other : undefined;
    expect(item).toMatchObject({ case: "batch", value: { cursor: expected?.cursor } });
    expect(item.case === "batch" && item.value.signals.map(({ sequence }) => sequence)).toEqual(
      expected?.entries.map(({ sequence }) => sequence),
    );
  });

  test("remembers few batches", () => {
    const frames = new SubscriptionFrames();
    const first = batch([entry(1n)]);
    const frame = frames.frameOf(first);
    for (let sequence = 2n; sequence < 20n; sequence += 1n) frames.frameOf(batch([entry(sequence)]));
    expect(frames.frameOf(first)).not.toBe(frame);
    expect(frames.frameOf(first)).toEqual(frame);
  });
});
