import { toBinary } from "@bufbuild/protobuf";
import { SubscribeResponseSchema } from "@coordination-signals/proto/coordination/v1/signal_service";
import type { TailItem } from "../delivery/tail-item.js";
import { batchFrame, type PlainBatch } from "./batch-frame.js";
import { subscribeResponse } from "./encoded-response.js";
import { grpcFrame } from "./grpc-frame.js";

interface EncodedBatch {
  readonly batch: PlainBatch;
  readonly frame: Uint8Array;
}

/** Batches remembered: readers that keep up are at one place, or a few when batches of a busy log are cut. */
const maxRememberedBatches = 8;

/**
 * Frames for subscribers over gRPC. Readers of one log that are at the same place get the same bytes: a batch is encoded for
 * the first of them, and written as it is to the others.
 */
export class SubscriptionFrames {
  readonly #remembered: EncodedBatch[] = [];
  #next = 0;

  /** An item in its frame. */
  frameOf(item: TailItem): Uint8Array {
    // What has to be acknowledged is one reader's alone.
    if (!isPlainBatch(item)) return grpcFrame(toBinary(SubscribeResponseSchema, subscribeResponse(item, true)));
    const known = this.#remembered.find(({ batch }) => isSame(batch, item));
    if (known !== undefined) return known.frame;
    const frame = batchFrame(item);
    this.#remembered[this.#next] = { batch: item, frame };
    this.#next = (this.#next + 1) % maxRememberedBatches;
    return frame;
  }
}

function isPlainBatch(item: TailItem): item is PlainBatch {
  return item.kind === "batch" && item.deliveries === undefined;
}

/** Signals are compared by identity: two coordinations never share one, nor do two lives of one coordination. */
function isSame(one: PlainBatch, other: PlainBatch): boolean {
  return (
    one.afterSequence === other.afterSequence &&
    one.throughSequence === other.throughSequence &&
    one.entries.length === other.entries.length &&
    one.cursor === other.cursor &&
    one.entries.every((entry, index) => entry === other.entries[index])
  );
}
