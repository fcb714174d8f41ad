import { create, toBinary } from "@bufbuild/protobuf";
import { WireType } from "@bufbuild/protobuf/wire";
import { timestampFromMs } from "@bufbuild/protobuf/wkt";
import {
  type BatchSendSignalsResponse,
  BatchSendSignalsResponseSchema,
  type BatchSendSignalsResult,
  BatchSendSignalsResultSchema,
  type SendSignalResponse,
  SendSignalResponseSchema,
} from "@coordination-signals/proto/coordination/v1/signal_service";
import type { StoredSignal } from "../coordination/stored-signal.js";
import type { CoordinationError } from "../model/coordination-error.js";
import { positionBytes } from "../model/prepared-signal.js";
import { writeSmallVarint } from "../model/varint.js";
import { statusFrom } from "./error-details.js";

/*
 * An answer names every signal's place. As messages that takes four objects each and a walk over them; whoever reads
 * protobuf's binary form gets the bytes, written as they will stand on the wire, in a message that carries them as a field
 * that it does not know.
 */

/** What became of one signal of a batch. */
export type SendOutcome =
  | { readonly stored: StoredSignal; readonly error?: undefined }
  | { readonly stored?: undefined; readonly error: CoordinationError };

const resultsField = BatchSendSignalsResponseSchema.field.results.number;
const resultsTag = tagOf(resultsField);
const responseTag = tagOf(BatchSendSignalsResultSchema.field.response.number);
const epochTag = tagOf(SendSignalResponseSchema.field.epoch.number);
const sequenceTag = SendSignalResponseSchema.field.sequence.number << 3;
const timestampTag = tagOf(SendSignalResponseSchema.field.timestamp.number);
const deduplicatedTag = SendSignalResponseSchema.field.deduplicated.number << 3;
// Then the lengths of a result and of what it holds are below 128, one byte each.
const maxEpochLength = 40;
// A result's tags and lengths, and what an answer says beside the position.
const maxFixedBytes = 10;

/** Where a signal was stored, as the contract's message. */
export function sendResponse(stored: StoredSignal): SendSignalResponse {
  return create(SendSignalResponseSchema, {
    signalId: stored.signalId,
    sequence: stored.sequence,
    timestamp: timestampFromMs(stored.timestampMs),
    deduplicated: stored.isDeduplicated,
    epoch: stored.epoch,
  });
}

/** The answer to a batch. */
export function batchResponse(outcomes: readonly SendOutcome[], binary: boolean): BatchSendSignalsResponse {
  if (!binary) return create(BatchSendSignalsResponseSchema, { results: outcomes.map(resultOf) });
  const response = create(BatchSendSignalsResponseSchema);
  if (outcomes.length > 0) {
    // The first one's tag is written with the field.
    const data = encodedResults(outcomes).subarray(1);
    response.$unknown = [{ no: resultsField, wireType: WireType.LengthDelimited, data }];
  }
  return response;
}

function resultOf({ stored, error }: SendOutcome): BatchSendSignalsResult {
  return create(BatchSendSignalsResultSchema, {
    result:
      stored === undefined
        ? { case: "error", value: statusFrom(error) }
        : { case: "response", value: sendResponse(stored) },
  });
}

/** The results as the fields of a `BatchSendSignalsResponse`, each behind its tag and length. */
export function encodedResults(outcomes: readonly SendOutcome[]): Uint8Array {
  const items = outcomes.map((outcome) =>
    isPlaced(outcome.stored) ? outcome.stored : toBinary(BatchSendSignalsResultSchema, resultOf(outcome)),
  );
  const bytes = Buffer.allocUnsafe(items.reduce((sum, item) => sum + maxBytesOf(item), 0));
  let end = 0;
  for (const item of items) {
    end = item instanceof Uint8Array ? writeItem(bytes, end, item) : writeStored(bytes, end, item);
  }
  return bytes.subarray(0, end);
}

/** Whether the signal's bytes say where it stands, as those of all but repeated requests do. */
function isPlaced(stored: StoredSignal | undefined): stored is StoredSignal {
  return stored?.entry.positionStart !== undefined && stored.epoch.length <= maxEpochLength;
}

function maxBytesOf(item: StoredSignal | Uint8Array): number {
  return maxFixedBytes + (item instanceof Uint8Array ? item.length : positionBytes + item.epoch.length);
}

function writeItem(bytes: Buffer, start: number, item: Uint8Array): number {
  bytes[start] = resultsTag;
  const offset = writeSmallVarint(bytes, start + 1, item.length);
  bytes.set(item, offset);
  return offset + item.length;
}

function writeStored(bytes: Buffer, start: number, stored: StoredSignal): number {
  const response = start + 4;
  const end = writeResponse(bytes, response, stored);
  bytes[start] = resultsTag;
  bytes[start + 1] = end - start - 2;
  bytes[start + 2] = responseTag;
  bytes[start + 3] = end - response;
  return end;
}

/** Copies signal_id, sequence and timestamp out of the signal, where they have other tags. */
function writeResponse(bytes: Buffer, start: number, { entry, isDeduplicated, epoch }: StoredSignal): number {
  const source = entry.bytes;
  const from = entry.positionStart ?? source.length;
  let offset = start;
  for (let at = from; at < source.length; at++) bytes[offset++] = source[at] ?? 0;
  const sequenceStart = start + 2 + (bytes[start + 1] ?? 0);
  let timestampStart = sequenceStart + 1;
  while ((bytes[timestampStart] ?? 0) > 0x7f) timestampStart += 1;
  bytes[sequenceStart] = sequenceTag;
  bytes[timestampStart + 1] = timestampTag;
  if (isDeduplicated) {
    bytes[offset++] = deduplicatedTag;
    bytes[offset++] = 1;
  }
  bytes[offset++] = epochTag;
  bytes[offset++] = epoch.length;
  // An id that this server made: ASCII.
  return offset + bytes.write(epoch, offset, "latin1");
}

function tagOf(field: number): number {
  return (field << 3) | WireType.LengthDelimited;
}
