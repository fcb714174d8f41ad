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

/*
 * Signals were encoded once, when they were appended. In answers they travel as those bytes: a message that carries them as
 * fields it does not know is written as they are. Only a client that speaks JSON has them decoded for it.
 */

type UnknownFields = NonNullable<SubscribeResponse["$unknown"]>;

const batchField = SubscribeResponseSchema.field.batch.number;
const replaySignalsField = ReplaySignalsResponseSchema.field.signals.number;
const historySignalsField = GetSignalHistoryResponseSchema.field.signals.number;

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

/** A page of history as the contract's message. */
export function historyResponse(
  entries: readonly LogEntry[],
  nextPageToken: string,
  binary: boolean,
): GetSignalHistoryResponse {
  const response = create(GetSignalHistoryResponseSchema, { nextPageToken });
  response.$unknown = encodedEntries(historySignalsField, entries);
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

/** Entries one after another in a field, written into one buffer at once: a page has up to a thousand. */
function encodedEntries(no: number, entries: readonly LogEntry[]): UnknownFields {
  if (entries.length === 0) return [];
  const tag = (no << 3) | WireType.LengthDelimited;
  // The first one's tag is written with the field.
  let size = -1;
  for (const { bytes } of entries) size += 1 + smallVarintBytes(bytes.length) + bytes.length;
  const data = Buffer.allocUnsafe(size);
  let at = 0;
  for (const { bytes } of entries) {
    if (at > 0) data[at++] = tag;
    at = writeSmallVarint(data, at, bytes.length);
    data.set(bytes, at);
    at += bytes.length;
  }
  return [{ no, wireType: WireType.LengthDelimited, data }];
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
