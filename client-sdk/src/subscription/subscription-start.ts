import { timestampFromDate } from "@bufbuild/protobuf/wkt";
import { StartPosition, type SubscribeRequest } from "@coordination-signals/proto/coordination/v1/signal_service";
import { InvalidRequestError } from "../errors/coordination-client-error.js";
import { invalidOption } from "../errors/invalid-option.js";
import { checkSequence } from "../options/check-sequence.js";

/**
 * Where a subscription starts: after the last signal stored when it is made, at the oldest still in history, after a
 * sequence (0n: at the first ever), at the first signal accepted at a time or later, or where a cursor stands.
 */
export type SubscriptionStart =
  | "latest"
  | "earliest"
  | { readonly afterSequence: bigint }
  | { readonly time: Date }
  | { readonly cursor: string };

/** A position inside a batch: after one of its signals, in one incarnation of the log. */
export interface SequencePosition {
  readonly epoch: string;
  readonly sequence: bigint;
}

/** Where the next stream starts: as the contract says it, and what is known about it. */
export interface StreamStart {
  readonly start: SubscribeRequest["start"];
  /** The range first scanned must begin after this sequence, when that is known. */
  readonly afterSequence: bigint | undefined;
  /** The incarnation of the log that must be found; `undefined` when any will do, or when the server checks it. */
  readonly epoch: string | undefined;
  /** What was handed out beyond the start: the last sequence of each level of priority, 0 for none. */
  readonly handedOut?: readonly bigint[] | undefined;
}

/** In which order pending signals come: as they were stored, or the most urgent first. */
export type DeliveryOrder = "sequence" | "priority";

/** Reads where a subscription is to start. Throws InvalidRequestError when it cannot be understood. */
export function streamStartFrom(from: SubscriptionStart, order: DeliveryOrder = "sequence"): StreamStart {
  if (from === "latest") return anywhere({ case: "position", value: StartPosition.LATEST });
  if (from === "earliest") return anywhere({ case: "position", value: StartPosition.EARLIEST });
  if (typeof from === "object" && from !== null) {
    if ("afterSequence" in from) {
      checkSequence("afterSequence", from.afterSequence);
      return afterSequence(from.afterSequence, undefined);
    }
    if ("time" in from) return anywhere({ case: "startTime", value: timestampFromDate(from.time) });
    if ("cursor" in from) return startFromCursor(from.cursor, order);
  }
  throw invalidOption(`from is ${JSON.stringify(from)}, which is no start`);
}

/** A start after a sequence of one incarnation of the log. */
export function streamStartAfter({ epoch, sequence }: SequencePosition): StreamStart {
  return afterSequence(sequence, epoch);
}

/** A start where a server's cursor stands. */
export function streamStartAtCursor(cursor: string, sequence: bigint | undefined): StreamStart {
  return { start: { case: "cursor", value: cursor }, afterSequence: sequence, epoch: undefined };
}

/*
 * A server's cursor stands for the end of a batch. Inside a batch this client writes a cursor of its own, in an alphabet
 * that a server's (base64url) has not: "~<sequence>~<epoch>", and in order of priority "~<a sequence for each
 * level>~<the server's cursor before the batch>".
 */
const ownCursor = /^~(\d{1,20})~([0-9a-zA-Z-]*)$/;
const ownLevelsCursor = /^~(\d{1,20}(?:\.\d{1,20}){3})~([0-9a-zA-Z_-]+)$/;

/** Writes a position inside a batch as a cursor. */
export function cursorFromPosition({ epoch, sequence }: SequencePosition): string {
  return `~${sequence}~${epoch}`;
}

/** Writes what was handed out beyond a server's cursor, by level, as a cursor. */
export function cursorFromLevels(handedOut: readonly bigint[], serverCursor: string): string {
  return `~${handedOut.join(".")}~${serverCursor}`;
}

function startFromCursor(cursor: string, order: DeliveryOrder): StreamStart {
  const [, sequence, epoch] = ownCursor.exec(cursor) ?? [];
  if (sequence !== undefined && epoch !== undefined) {
    if (order !== "sequence") throw otherOrder("sequence", order);
    return afterSequence(BigInt(sequence), epoch);
  }
  const [, levels, serverCursor] = ownLevelsCursor.exec(cursor) ?? [];
  if (levels === undefined || serverCursor === undefined) return streamStartAtCursor(cursor, undefined);
  if (order !== "priority") throw otherOrder("priority", order);
  return { ...streamStartAtCursor(serverCursor, undefined), handedOut: levels.split(".").map(BigInt) };
}

function otherOrder(of: DeliveryOrder, order: DeliveryOrder): InvalidRequestError {
  return new InvalidRequestError({
    message: `the cursor is of order ${of}, the subscription's order is ${order}`,
    reason: "INVALID_CURSOR",
    code: "INVALID_ARGUMENT",
  });
}

function afterSequence(sequence: bigint, epoch: string | undefined): StreamStart {
  return { start: { case: "afterSequence", value: sequence }, afterSequence: sequence, epoch };
}

function anywhere(start: SubscribeRequest["start"]): StreamStart {
  return { start, afterSequence: undefined, epoch: undefined };
}
