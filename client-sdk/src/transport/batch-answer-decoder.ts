import { fromBinary } from "@bufbuild/protobuf";
import { StatusSchema } from "@coordination-signals/proto/google/rpc/status";
import { errorFromStatus } from "../errors/error-from-status.js";
import type { BatchAnswer } from "../sending/batch-results.js";
import type { SendOutcome } from "../sending/send-result.js";
import { FieldReader } from "./field-reader.js";

/** Decodes the answers to one stream of batches, as what senders are told. The answers have an epoch in common. */
export class BatchAnswerDecoder {
  readonly #reader = new FieldReader();
  #epoch = "";

  /** Decodes a `StreamSignalsResponse`. Answers `undefined`, or throws RangeError, for one that the library has to decode. */
  answer(bytes: Uint8Array): BatchAnswer | undefined {
    const reader = this.#reader;
    reader.begin(bytes);
    if (reader.length === 0 || reader.number() !== lengthDelimited(1)) return undefined;
    const end = reader.messageEnd();
    if (end !== reader.length) return undefined;
    const outcomes: SendOutcome[] = [];
    let hasErrors = false;
    while (reader.position < end) {
      if (reader.number() !== lengthDelimited(1)) return undefined;
      const resultEnd = reader.messageEnd();
      if (reader.position === resultEnd) return undefined;
      const tag = reader.number();
      if (tag === lengthDelimited(2)) hasErrors = true;
      const outcome = this.#outcome(tag);
      if (outcome === undefined || reader.position !== resultEnd) return undefined;
      outcomes.push(outcome);
    }
    return { outcomes, hasErrors };
  }

  #outcome(tag: number): SendOutcome | undefined {
    if (tag === lengthDelimited(1)) return this.#result();
    if (tag === lengthDelimited(2)) return errorFromStatus(fromBinary(StatusSchema, this.#reader.bytes()));
    return undefined;
  }

  /** Where a signal was stored; `undefined` when something is missing or not known. */
  #result(): SendOutcome | undefined {
    const reader = this.#reader;
    const end = reader.messageEnd();
    let signalId = "";
    let sequence = 0n;
    let timeMs: number | undefined;
    let deduplicated = false;
    let epoch = "";
    while (reader.position < end) {
      switch (reader.number()) {
        case lengthDelimited(1):
          signalId = reader.text();
          break;
        case varint(2):
          sequence = reader.uint64();
          break;
        case lengthDelimited(3):
          timeMs = readTimeMs(reader);
          if (timeMs === undefined) return undefined;
          break;
        case varint(4):
          deduplicated = reader.number() !== 0;
          break;
        case lengthDelimited(5):
          epoch = reader.textLike(this.#epoch);
          this.#epoch = epoch;
          break;
        default:
          return undefined;
      }
    }
    if (timeMs === undefined || reader.position !== end) return undefined;
    return { signalId, sequence, timestamp: new Date(timeMs), deduplicated, epoch };
  }
}

function readTimeMs(reader: FieldReader): number | undefined {
  const end = reader.messageEnd();
  let seconds = 0;
  let nanos = 0;
  while (reader.position < end) {
    const tag = reader.number();
    if (tag === varint(1)) seconds = reader.number();
    else if (tag === varint(2)) nanos = reader.number();
    else return undefined;
  }
  return reader.position === end ? seconds * 1_000 + Math.round(nanos / 1_000_000) : undefined;
}

function varint(field: number): number {
  return field << 3;
}

function lengthDelimited(field: number): number {
  return (field << 3) | 2;
}
