import { WireType } from "@bufbuild/protobuf/wire";
import { SignalBatchSchema, SubscribeResponseSchema } from "@coordination-signals/proto/coordination/v1/signal_service";
import type { TailItem } from "../delivery/tail-item.js";
import { smallVarintBytes, varintBytes, writeSmallVarint, writeVarint } from "../model/varint.js";
import { grpcFrameHeaderBytes } from "./grpc-frame.js";

/*
 * A reader that keeps up gets every signal in a batch of its own. Through messages and writers that costs several times what
 * the signal's bytes do, and copies long batches four times: so it is written as it will stand on the wire, at once.
 */

/** Signals that need not be acknowledged. */
export type PlainBatch = Extract<TailItem, { kind: "batch" }> & { readonly deliveries?: undefined };

const {
  signals,
  cursor: cursorField,
  afterSequence: afterField,
  throughSequence: throughField,
} = SignalBatchSchema.field;
const batchTag = tagOf(SubscribeResponseSchema.field.batch.number, WireType.LengthDelimited);
const signalTag = tagOf(signals.number, WireType.LengthDelimited);
const cursorTag = tagOf(cursorField.number, WireType.LengthDelimited);
const afterTag = tagOf(afterField.number, WireType.Varint);
const throughTag = tagOf(throughField.number, WireType.Varint);
/** Those of the cursor and of the two sequences. */
const tagBytes = 3;

/** A batch as it travels over gRPC. */
export function batchFrame({ entries, cursor, afterSequence, throughSequence }: PlainBatch): Uint8Array {
  // A cursor is of base64url: one byte a character.
  let length = tagBytes + smallVarintBytes(cursor.length) + cursor.length;
  length += varintBytes(afterSequence) + varintBytes(throughSequence);
  for (const { bytes } of entries) length += 1 + smallVarintBytes(bytes.length) + bytes.length;
  const messageLength = 1 + smallVarintBytes(length) + length;
  const frame = Buffer.allocUnsafe(grpcFrameHeaderBytes + messageLength);
  frame[0] = 0;
  let at = frame.writeUInt32BE(messageLength, 1);
  frame[at++] = batchTag;
  at = writeSmallVarint(frame, at, length);
  for (const { bytes } of entries) {
    frame[at++] = signalTag;
    at = writeSmallVarint(frame, at, bytes.length);
    frame.set(bytes, at);
    at += bytes.length;
  }
  frame[at++] = cursorTag;
  at = writeSmallVarint(frame, at, cursor.length);
  at += frame.write(cursor, at, "latin1");
  frame[at++] = afterTag;
  at = writeVarint(frame, at, afterSequence);
  frame[at++] = throughTag;
  writeVarint(frame, at, throughSequence);
  return frame;
}

function tagOf(field: number, type: WireType): number {
  return (field << 3) | type;
}
