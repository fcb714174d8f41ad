import { maxSignalBytes } from "../../model/limits.js";
import { positionBytes } from "../../model/prepared-signal.js";
import { smallVarintBytes, writeSmallVarint } from "../../model/varint.js";
import type { EnvelopeReader } from "./envelope-reader.js";
import { contentAt, orderEntries } from "./map-order.js";
import { orderStruct } from "./plain-struct.js";

/*
 * A signal says in its fields what its request says, most of them under other numbers, and no number takes more bytes in one
 * than in the other. So the body is the request's bytes with other tags; only its priority is always written, and the agent that an
 * event leaves out is named.
 */

/** A request's tags, and those of the same fields in a signal; all of them of fields behind a length. */
const signalTags = new Uint8Array(256);
signalTags[0x0a] = 0x12; // coordination_id
signalTags[0x12] = 0x22; // sender_agent_id
signalTags[0x1a] = 0x32; // recipient_agent_ids
signalTags[0x2a] = 0x42; // correlation_id
signalTags[0x32] = 0x4a; // metadata
signalTags[0x3a] = 0x52; // request_id
const priorityTag = 0x38;
const eventTagEnd = 0x01;

/** Copying fewer bytes than this natively costs more than the copying. */
const leastNativeCopy = 64;

/**
 * The body of the signal that the envelope asks for, with room for its position behind it; undefined where a key is there twice or
 * the signal would be too large.
 */
export function bodyOf(envelope: EnvelopeReader): Uint8Array | undefined {
  const { addresses, details, event } = envelope;
  const inserted = insertedBytes(envelope);
  const eventLength = event.stop - event.start + inserted;
  const addressesLength = addresses.stop - addresses.start;
  const detailsLength = details.stop - details.start;
  const length = addressesLength + detailsLength + 4 + smallVarintBytes(eventLength) + eventLength;
  if (length + positionBytes > maxSignalBytes) return undefined;
  const body = Buffer.allocUnsafe(length + positionBytes);
  let at = copyFields(body, 0, envelope.bytes, addresses);
  body[at++] = priorityTag;
  body[at++] = envelope.priority;
  const detailsAt = at;
  at = copyFields(body, at, envelope.bytes, details);
  body[at++] = envelope.eventTag;
  body[at++] = eventTagEnd;
  at = writeSmallVarint(body, at, eventLength);
  copyEvent(body, at, envelope);
  return isOrdered(body, { envelope, detailsAt, eventAt: at, inserted }) ? body : undefined;
}

function insertedBytes({ repair, sender }: EnvelopeReader): number {
  if (repair.missingAgentAt === undefined) return 0;
  const length = sender.stop - sender.start;
  return 1 + smallVarintBytes(length) + length;
}

/** Copies fields that stand one after another, and gives them a signal's tags. */
function copyFields(
  target: Uint8Array,
  start: number,
  source: Uint8Array,
  stretch: { readonly start: number; readonly stop: number },
): number {
  const end = copy(target, start, source, stretch.start, stretch.stop);
  for (let at = start; at < end; ) {
    target[at] = signalTags[target[at] ?? 0] ?? 0;
    const length = target[at + 1] ?? 0;
    at = length < 0x80 ? at + 2 + length : contentAt(target, at).stop;
  }
  return end;
}

function copyEvent(target: Uint8Array, start: number, { bytes, event, repair, sender }: EnvelopeReader): void {
  const { missingAgentAt, missingAgentTag } = repair;
  if (missingAgentAt === undefined) {
    copy(target, start, bytes, event.start, event.stop);
    return;
  }
  let at = copy(target, start, bytes, event.start, missingAgentAt);
  target[at++] = missingAgentTag;
  at = writeSmallVarint(target, at, sender.stop - sender.start);
  at = copy(target, at, bytes, sender.start, sender.stop);
  copy(target, at, bytes, missingAgentAt, event.stop);
}

interface Placed {
  readonly envelope: EnvelopeReader;
  readonly detailsAt: number;
  readonly eventAt: number;
  readonly inserted: number;
}

/** Puts in order what was not. Answers false where that cannot be done. */
function isOrdered(body: Uint8Array, { envelope, detailsAt, eventAt, inserted }: Placed): boolean {
  const { metadata, details, event, repair } = envelope;
  if (!envelope.isMetadataOrdered) {
    const moved = detailsAt - details.start;
    if (!orderEntries(body, metadata.start + moved, metadata.stop + moved)) return false;
  }
  if (repair.unorderedStart === undefined) return true;
  // Whatever is inserted stands in front of a Struct.
  const moved = eventAt - event.start + inserted;
  return orderStruct(body, repair.unorderedStart + moved, repair.unorderedStop + moved);
}

function copy(target: Uint8Array, at: number, source: Uint8Array, start: number, stop: number): number {
  if (stop - start >= leastNativeCopy) target.set(source.subarray(start, stop), at);
  else for (let from = start, to = at; from < stop; ) target[to++] = source[from++] ?? 0;
  return at + stop - start;
}
