import { type DescMessage, fromBinary, type Message } from "@bufbuild/protobuf";
import {
  BatchSendSignalsRequestSchema,
  type SendSignalRequest,
  SendSignalRequestSchema,
  StreamSignalsRequestSchema,
} from "@coordination-signals/proto/coordination/v1/signal_service";
import { EnvelopeReader } from "./wire-send/envelope-reader.js";
import { PlainReader } from "./wire-send/plain-reader.js";
import { bodyOf } from "./wire-send/signal-body.js";
import { WireBatch, WireSend, WireStreamBatch } from "./wire-send/wire-send.js";

/*
 * Most bytes that arrive are signals to store, in a form in which they can be stored as they are. To decode them to messages, to
 * check those and to encode other ones takes several times as long as all the rest of storing them; so these requests are read where
 * they lie. What is unusual in them is left to the library, as are all other requests.
 */

const requestsTag = 0x0a;
const atomicTag = 0x10;
const batchTag = 0x0a;
/** As the contract's rule. */
const maxBatchRequests = 1_000;

/** Decodes a request. Throws what the library throws for bytes that are no such message. */
export function decodeRequest(desc: DescMessage, bytes: Uint8Array): Message {
  return decodeSends(desc, bytes) ?? fromBinary(desc, bytes);
}

function decodeSends(desc: DescMessage, bytes: Uint8Array): Message | undefined {
  switch (desc.typeName) {
    case SendSignalRequestSchema.typeName:
      return readSend(new EnvelopeReader(bytes), 0, bytes.length);
    case BatchSendSignalsRequestSchema.typeName:
      return readBatch(bytes, 0, bytes.length);
    case StreamSignalsRequestSchema.typeName:
      return readStreamBatch(bytes);
    default:
      return undefined;
  }
}

function readStreamBatch(bytes: Uint8Array): WireStreamBatch | undefined {
  const reader = new PlainReader(bytes, 0, bytes.length);
  if (!reader.takesField(batchTag) || reader.at !== reader.end) return undefined;
  const batch = readBatch(bytes, reader.start, reader.stop);
  return batch && new WireStreamBatch(batch);
}

function readBatch(bytes: Uint8Array, start: number, stop: number): WireBatch | undefined {
  const reader = new PlainReader(bytes, start, stop);
  const envelope = new EnvelopeReader(bytes);
  const requests: SendSignalRequest[] = [];
  // Where it stands is of no matter: nothing but the requests is stored.
  const atomicFirst = takesAtomic(reader);
  while (reader.takesField(requestsTag)) {
    if (requests.length === maxBatchRequests) return undefined;
    const { start: from, stop: to } = reader;
    requests.push(readSend(envelope, from, to) ?? fromBinary(SendSignalRequestSchema, bytes.subarray(from, to)));
  }
  const atomic = atomicFirst || takesAtomic(reader);
  if (requests.length === 0 || !reader.isPlain || reader.at !== stop) return undefined;
  return new WireBatch(requests, atomic);
}

function takesAtomic(reader: PlainReader): boolean {
  if (!reader.takes(atomicTag)) return false;
  reader.expect(reader.takes(1));
  return true;
}

function readSend(envelope: EnvelopeReader, start: number, stop: number): WireSend | undefined {
  const body = envelope.read(start, stop) ? bodyOf(envelope) : undefined;
  return body && new WireSend(envelope, body, start, stop);
}
