import { fromBinary } from "@bufbuild/protobuf";
import { SubscribeResponseSchema } from "@coordination-signals/proto/coordination/v1/signal_service";
import { describe, expect, test } from "@jest/globals";
import type { TailItem } from "../../../../server/src/delivery/tail-item.js";
import { LogEntry } from "../../../../server/src/model/log-entry.js";
import type { FrameSink } from "../../../../server/src/rpc/frame-sink.js";
import { SubscriptionFrames } from "../../../../server/src/rpc/subscription-frames.js";
import { deferred } from "../../../support/deferred.js";

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

describe("SubscriptionFrames.write", () => {
  test("asks for the next item when the client has taken the last", async () => {
    const drained = deferred();
    const waits = deferred();
    const pulled: bigint[] = [];
    async function* items() {
      for (const sequence of [1n, 2n]) {
        pulled.push(sequence);
        yield batch([entry(sequence)]);
      }
    }
    const written: Uint8Array[] = [];
    const sink: FrameSink = {
      get isReady() {
        return written.length !== 1;
      },
      write: (frame) => void written.push(frame),
      drained: () => {
        waits.resolve();
        return drained.promise;
      },
    };
    const done = new SubscriptionFrames().write(items(), sink);
    await waits.promise;
    expect(pulled).toEqual([1n]);
    drained.resolve();
    await done;
    expect([pulled, written.length]).toEqual([[1n, 2n], 2]);
  });
});
