import type { CoordinationHeader, RemovedRange } from "./signal-store.js";

type JsonOf<T> = { readonly [K in keyof T]: T[K] extends bigint ? string : T[K] };

/** A header as JSON can hold it: numbers that may exceed 2^53 in decimal. */
export type CoordinationHeaderJson = Omit<
  JsonOf<CoordinationHeader>,
  "removedRanges" | "closeTimeMs" | "endedWaits"
> & {
  /** Missing where it was written before ended waits were kept. */
  readonly endedWaits?: number;
  readonly closeTimeMs?: number | undefined;
  readonly removedRanges: readonly JsonOf<RemovedRange>[];
};

export function headerToJson(header: CoordinationHeader): CoordinationHeaderJson {
  return {
    ...header,
    revision: String(header.revision),
    commits: String(header.commits),
    headSequence: String(header.headSequence),
    oldestSequence: String(header.oldestSequence),
    trimmedThroughSequence: String(header.trimmedThroughSequence),
    removedRanges: header.removedRanges.map((range) => ({
      ...range,
      afterSequence: String(range.afterSequence),
      throughSequence: String(range.throughSequence),
    })),
  };
}

export function headerFromJson(json: CoordinationHeaderJson): CoordinationHeader {
  return {
    ...json,
    closeTimeMs: json.closeTimeMs,
    endedWaits: json.endedWaits ?? 0,
    revision: BigInt(json.revision),
    commits: BigInt(json.commits),
    headSequence: BigInt(json.headSequence),
    oldestSequence: BigInt(json.oldestSequence),
    trimmedThroughSequence: BigInt(json.trimmedThroughSequence),
    removedRanges: json.removedRanges.map((range) => ({
      ...range,
      afterSequence: BigInt(range.afterSequence),
      throughSequence: BigInt(range.throughSequence),
    })),
  };
}
