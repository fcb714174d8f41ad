import { create, type DescMessage, fromBinary, type MessageShape, toBinary } from "@bufbuild/protobuf";
import { BinaryWriter, WireType } from "@bufbuild/protobuf/wire";
import { timestampFromMs } from "@bufbuild/protobuf/wkt";
import type { HandlerContext } from "@connectrpc/connect";
import { type Delivery, DeliverySchema } from "@coordination-signals/proto/coordination/v1/acknowledgement";
import {
  type GetSignalHistoryResponse,
  GetSignalHistoryResponseSchema,
  type ReplaySignalsResponse,
  ReplaySignalsResponseSchema,
  type SubscribeResponse,
  SubscribeResponseSchema,
} from "@coordination-signals/proto/coordination/v1/signal_service";
import type { ReplayBatch } from "../delivery/replay.js";
import type { DeliveryItem, TailItem } from "../delivery/tail-item.js";
import type { LogEntry } from "../model/log-entry.js";
import { smallVarintBytes, writeSmallVarint } from "../model/varint.js";
import { grpcFrameHeaderBytes } from "./grpc-frame.js";
import { setReadyFrame } from "./ready-frame.js";

/*
 * Signals were encoded once, when they were appended. In answers they travel as those bytes: a message that carries them as
 * fields it does not know is written as they are. Only a client that speaks JSON has them decoded for it.
 */

type UnknownFields = NonNullable<SubscribeResponse["$unknown"]>;

const batchField = SubscribeResponseSchema.field.batch.number;
const replaySignalsField = ReplaySignalsResponseSchema.field.signals.number;
const historySignalsField = GetSignalHistoryResponseSchema.field.signals.number;
const wireType = WireType.LengthDelimited;
const historySignalsTag = (historySignalsField << 3) | wireType;
const pageTokenTag = (GetSignalHistoryResponseSchema.field.nextPageToken.number << 3) | wireType;

/** Whether the client of a call reads protobuf's binary form. */
export function wantsBinary(context: HandlerContext): boolean {
  if (context.requestMethod === "GET") return false;
  return !(context.requestHeader.get("content-type") ?? "").includes("json");
}

/** An item of a subscription as the contract's message. */
export function subscribeResponse(item: TailItem, binary: boolean): SubscribeResponse {
  switch (item.kind) {
    case "subscribed": {
      const { epoch, headSequence, cursor } = item;
      return create(SubscribeResponseSchema, {
        item: { case: "subscribed", value: { epoch, headSequence, cursor } },
      });
    }
    case "batch":
      return inForm(SubscribeResponseSchema, batchResponse(item), binary);
    case "checkpoint": {
      const { afterSequence, throughSequence, cursor } = item;
      return create(SubscribeResponseSchema, {
        item: { case: "checkpoint", value: { afterSequence, throughSequence, cursor } },
      });
    }
    case "caughtUp": {
      const { throughSequence, cursor } = item;
      return create(SubscribeResponseSchema, { item: { case: "caughtUp", value: { throughSequence, cursor } } });
    }
  }
}

/** A page of history as the contract's message, with the frame in which it travels over gRPC. */
export function historyResponse(
  entries: readonly LogEntry[],
  nextPageToken: string,
  binary: boolean,
): GetSignalHistoryResponse {
  const token = Buffer.from(nextPageToken);
  const tokenSize = token.length === 0 ? 0 : fieldBytes(token.length);
  const frame = Buffer.allocUnsafe(grpcFrameHeaderBytes + tokenSize + entriesBytes(entries));
  frame[0] = 0;
  let at = frame.writeUInt32BE(frame.length - grpcFrameHeaderBytes, 1);
  // In front, so that a client can ask for the next page while this one arrives.
  if (tokenSize > 0) at = writeField(frame, at, pageTokenTag, token);
  const response = create(GetSignalHistoryResponseSchema, { nextPageToken });
  if (entries.length > 0) {
    writeEntries(frame, at, historySignalsTag, entries);
    // Its first tag is written with the field.
    response.$unknown = [{ no: historySignalsField, wireType, data: frame.subarray(at + 1) }];
  }
  if (binary) setReadyFrame(response, frame);
  return inForm(GetSignalHistoryResponseSchema, response, binary);
}

/** A part of a replay as the contract's message. */
export function replayResponse(batch: ReplayBatch, binary: boolean): ReplaySignalsResponse {
  const { afterSequence, throughSequence } = batch;
  const response = create(ReplaySignalsResponseSchema, { afterSequence, throughSequence });
  response.$unknown = encodedEntries(replaySignalsField, batch.entries);
  return inForm(ReplaySignalsResponseSchema, response, binary);
}

function batchResponse(item: Extract<TailItem, { kind: "batch" }>): SubscribeResponse {
  const writer = new BinaryWriter();
  for (const { bytes } of item.entries) writer.tag(1, WireType.LengthDelimited).bytes(bytes);
  writer.tag(2, WireType.LengthDelimited).string(item.cursor);
  for (const delivery of item.deliveries ?? []) {
    writer.tag(3, WireType.LengthDelimited).bytes(toBinary(DeliverySchema, deliveryMessage(delivery)));
  }
  writer.tag(4, WireType.Varint).uint64(item.afterSequence);
  writer.tag(5, WireType.Varint).uint64(item.throughSequence);
  const response = create(SubscribeResponseSchema);
  response.$unknown = [lengthDelimited(batchField, writer.finish())];
  return response;
}

function deliveryMessage({ deliveryId, attempt, deadlineMs }: DeliveryItem): Delivery {
  return create(DeliverySchema, { deliveryId, attempt, deadline: timestampFromMs(deadlineMs) });
}

/** Entries one after another in a field, written into one buffer at once. */
function encodedEntries(no: number, entries: readonly LogEntry[]): UnknownFields {
  if (entries.length === 0) return [];
  const data = Buffer.allocUnsafe(entriesBytes(entries));
  writeEntries(data, 0, (no << 3) | wireType, entries);
  // Its first tag is written with the field.
  return [{ no, wireType, data: data.subarray(1) }];
}

function entriesBytes(entries: readonly LogEntry[]): number {
  let size = 0;
  for (const { bytes } of entries) size += fieldBytes(bytes.length);
  return size;
}

/** What a field of so many bytes takes. Its number is below 16. */
function fieldBytes(length: number): number {
  return 1 + smallVarintBytes(length) + length;
}

function writeEntries(target: Buffer, start: number, tag: number, entries: readonly LogEntry[]): void {
  let at = start;
  for (const { bytes } of entries) at = writeField(target, at, tag, bytes);
}

function writeField(target: Buffer, start: number, tag: number, bytes: Uint8Array): number {
  target[start] = tag;
  const at = writeSmallVarint(target, start + 1, bytes.length);
  target.set(bytes, at);
  return at + bytes.length;
}

function lengthDelimited(no: number, bytes: Uint8Array): { no: number; wireType: WireType; data: Uint8Array } {
  return { no, wireType: WireType.LengthDelimited, data: new BinaryWriter().bytes(bytes).finish() };
}

function inForm<Desc extends DescMessage>(
  schema: Desc,
  message: MessageShape<Desc>,
  binary: boolean,
): MessageShape<Desc> {
  return binary ? message : fromBinary(schema, toBinary(schema, message));
}
