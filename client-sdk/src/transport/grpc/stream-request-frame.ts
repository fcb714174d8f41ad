import { bytesOfNumber } from "../../sending/field-writer.js";
import type { OutgoingBatch } from "../../sending/send-pipeline.js";
import { frameHeaderBytes } from "./grpc-frame.js";

/** Tags of the fields on the way to a signal: `StreamSignalsRequest.batch`, its `requests`, and its `atomic`. */
const batchTag = 0x0a;
const requestsTag = 0x0a;
const atomicTag = 0x10;

/** A batch as the frame of a `StreamSignalsRequest`: the bytes of its signals, copied once. */
export function streamRequestFrame({ sends, atomic }: OutgoingBatch): Uint8Array {
  let batchBytes = atomic ? 2 : 0;
  for (const { encoded } of sends) batchBytes += 1 + bytesOfNumber(encoded.length) + encoded.length;
  const messageBytes = 1 + bytesOfNumber(batchBytes) + batchBytes;
  const frame = Buffer.allocUnsafe(frameHeaderBytes + messageBytes);
  frame[0] = 0;
  frame.writeUInt32BE(messageBytes, 1);
  frame[frameHeaderBytes] = batchTag;
  let at = writeNumber(frame, frameHeaderBytes + 1, batchBytes);
  for (const { encoded } of sends) {
    frame[at] = requestsTag;
    at = writeNumber(frame, at + 1, encoded.length);
    frame.set(encoded, at);
    at += encoded.length;
  }
  if (atomic) {
    frame[at] = atomicTag;
    frame[at + 1] = 1;
  }
  return frame;
}

/** Writes a number of protobuf's; returns where it ends. */
function writeNumber(bytes: Uint8Array, start: number, value: number): number {
  let at = start;
  let rest = value;
  while (rest >= 0x80) {
    bytes[at++] = (rest & 0x7f) | 0x80;
    rest >>>= 7;
  }
  bytes[at++] = rest;
  return at;
}
