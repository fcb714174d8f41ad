import { fromBinary } from "@bufbuild/protobuf";
import { type CoordinationSignal, CoordinationSignalSchema } from "@coordination-signals/proto/coordination/v1/signal";
import { LogEntry, requestKeyOf } from "./log-entry.js";
import type { SignalFacts } from "./signal-facts.js";
import { writeSmallVarint, writeVarint } from "./varint.js";

/** What the position in the log decides. */
export interface SignalPosition {
  /** In ASCII, shorter than 128 characters. */
  readonly signalId: Uint8Array;
  readonly sequence: bigint;
  readonly timestampMs: number;
  /** On the monotonic clock. */
  readonly acceptedAtMs: number;
}

/** signal_id (2 + 36), sequence (1 + 10), timestamp (2 + 11 + 6): what a position may add to a body. */
export const positionBytes = 68;
const signalIdTag = 0x0a; // field 1, length-delimited

/**
 * A validated request on its way to the log: everything about the signal that does not depend on its position is made
 * before the coordination's lock is taken. Protobuf fields may stand in any order, so the encoded signal is this body
 * followed by the few fields that the position decides.
 */
export class PreparedSignal {
  readonly facts: SignalFacts;
  readonly expectedSequence: bigint | undefined;
  readonly bodyLength: number;
  /** Set when the request has a request_id. */
  readonly requestKey: string | undefined;
  readonly #bytes: Uint8Array;
  #isTaken = false;
  #signal: CoordinationSignal | undefined;

  constructor(fields: {
    readonly facts: SignalFacts;
    readonly expectedSequence: bigint | undefined;
    /** The body, and behind it room for a position. */
    readonly bytes: Uint8Array;
    readonly signal?: CoordinationSignal;
  }) {
    const { facts, bytes } = fields;
    this.facts = facts;
    this.expectedSequence = fields.expectedSequence;
    this.bodyLength = bytes.length - positionBytes;
    this.requestKey = requestKeyOf(facts.senderAgentId, facts.requestId);
    this.#bytes = bytes;
    this.#signal = fields.signal;
  }

  /** The signal without signal_id, sequence and timestamp, encoded: the same bytes for the same content. */
  get body(): Uint8Array {
    return this.#bytes.subarray(0, this.bodyLength);
  }

  /** The body decoded. */
  get signal(): CoordinationSignal {
    this.#signal ??= fromBinary(CoordinationSignalSchema, this.body);
    return this.#signal;
  }

  /** The body with room for a position behind it: the first time as it is, then copies, because an entry owns its bytes. */
  takeBytes(): Uint8Array {
    if (this.#isTaken) return withRoom(this.body);
    this.#isTaken = true;
    return this.#bytes;
  }
}

/**
 * Whether an entry says what a request asks for: a repetition does, a reuse of its request_id does not. Maps and Structs are
 * encoded in the order of their keys, so that what is the same has the same bytes; and no body has a field 1.
 */
export function isRepetition({ body }: Pick<PreparedSignal, "body">, { bytes }: LogEntry): boolean {
  return bytes[body.length] === signalIdTag && Buffer.compare(bytes.subarray(0, body.length), body) === 0;
}

/** A copy of a body, with room for a position behind it. */
export function withRoom(body: Uint8Array): Uint8Array {
  const bytes = Buffer.allocUnsafe(body.length + positionBytes);
  bytes.set(body);
  return bytes;
}

/** Gives a prepared signal its place in the log. */
export function placeSignal(prepared: PreparedSignal, position: SignalPosition): LogEntry {
  const { timestampMs } = position;
  const bytes = prepared.takeBytes();
  const positionStart = prepared.bodyLength;
  const end = writePosition(bytes, positionStart, position);
  return new LogEntry({
    sequence: position.sequence,
    bytes: end === bytes.length ? bytes : bytes.subarray(0, end),
    requestKey: prepared.requestKey,
    acceptedAtMs: position.acceptedAtMs,
    positionStart,
    timestampMs,
    facts: prepared.facts,
  });
}

function writePosition(bytes: Uint8Array, start: number, position: SignalPosition): number {
  const { signalId, timestampMs } = position;
  const seconds = Math.floor(timestampMs / 1_000);
  let offset = start;
  bytes[offset++] = signalIdTag;
  bytes[offset++] = signalId.length;
  for (let at = 0; at < signalId.length; at++) bytes[offset++] = signalId[at] ?? 0;
  bytes[offset++] = 0x18; // field 3, varint
  offset = writeVarint(bytes, offset, position.sequence);
  bytes[offset++] = 0x2a; // field 5, length-delimited
  const lengthAt = offset++;
  bytes[offset++] = 0x08; // Timestamp.seconds
  offset = writeSmallVarint(bytes, offset, seconds);
  bytes[offset++] = 0x10; // Timestamp.nanos
  offset = writeSmallVarint(bytes, offset, (timestampMs - seconds * 1_000) * 1_000_000);
  bytes[lengthAt] = offset - lengthAt - 1;
  return offset;
}
