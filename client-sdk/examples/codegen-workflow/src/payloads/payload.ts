import type { JsonValue } from "../json-value.js";

/** One payload as it was found. */
export interface Payload {
  /** Where it comes from, for people: a file, relative to where the search began, and the place in it. */
  readonly source: string;
  /** Event types it may be of, the most likely first: what its folder, its file or its index entry is called. */
  readonly eventTypeHints: readonly string[];
  readonly value: JsonValue;
}

/** A payload that cannot be validated, and why. It counts as one that did not pass. */
export interface RejectedPayload {
  readonly source: string;
  readonly reason: string;
}

/** What was found where payloads were looked for. */
export interface FoundPayloads {
  readonly payloads: readonly Payload[];
  readonly rejected: readonly RejectedPayload[];
}
