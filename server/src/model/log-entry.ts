import { fromBinary } from "@bufbuild/protobuf";
import { timestampMs } from "@bufbuild/protobuf/wkt";
import {
  type CoordinationSignal,
  CoordinationSignalSchema,
  type Priority,
} from "@coordination-signals/proto/coordination/v1/signal";
import { encodedPriority } from "./encoded-priority.js";
import { factsInBytes, factsOfSignal, type SignalFacts } from "./signal-facts.js";

/** What identifies a request in its coordination: ids hold no control characters, so that it stands for one pair only. */
export function requestKeyOf(senderAgentId: string, requestId: string): string | undefined {
  return requestId === "" ? undefined : `${senderAgentId}\0${requestId}`;
}

/**
 * One signal of a log: its bytes, made once when it was appended, and what they say, read out of them if anybody needs it:
 * most readers need a few facts, and only filters, transforms and JSON the message. Shared by all readers: nothing of it may be
 * changed.
 */
export class LogEntry {
  readonly sequence: bigint;
  readonly bytes: Uint8Array;
  /** When the server accepted it, on the monotonic clock; undefined when it was read back from the store. */
  readonly acceptedAtMs: number | undefined;
  /**
   * Where signal_id, sequence and timestamp stand in the bytes, in this order and at their end; undefined when it was read back
   * from the store.
   */
  readonly positionStart: number | undefined;
  readonly #timestampMs: number | undefined;
  readonly #requestKey: string | undefined;
  #facts: SignalFacts | undefined;
  #signal: CoordinationSignal | undefined;

  constructor(fields: {
    readonly sequence: bigint;
    readonly bytes: Uint8Array;
    readonly requestKey?: string | undefined;
    readonly acceptedAtMs?: number | undefined;
    readonly positionStart?: number | undefined;
    readonly timestampMs?: number | undefined;
    readonly facts?: SignalFacts | undefined;
    readonly signal?: CoordinationSignal | undefined;
  }) {
    this.sequence = fields.sequence;
    this.bytes = fields.bytes;
    this.acceptedAtMs = fields.acceptedAtMs;
    this.positionStart = fields.positionStart;
    this.#timestampMs = fields.timestampMs;
    this.#requestKey = fields.requestKey;
    this.#facts = fields.facts;
    this.#signal = fields.signal;
  }

  /** What decides where the signal goes. */
  get facts(): SignalFacts {
    this.#facts ??= this.#signal === undefined ? factsInBytes(this.bytes) : factsOfSignal(this.#signal);
    return this.#facts;
  }

  /** How urgent it is; costs little although nothing else of the signal was read. */
  get priority(): Priority {
    return this.#facts?.priority ?? this.#signal?.priority ?? encodedPriority(this.bytes);
  }

  /** The key of the request that made it; undefined when that had no request_id. */
  get requestKey(): string | undefined {
    return this.#requestKey ?? requestKeyOf(this.facts.senderAgentId, this.facts.requestId);
  }

  /** The signal's name. */
  get signalId(): string {
    const start = this.positionStart;
    if (start === undefined) return this.signal.signalId;
    // Behind its tag and its length, of a byte each.
    const length = this.bytes[start + 1] ?? 0;
    return Buffer.from(this.bytes.buffer, this.bytes.byteOffset + start + 2, length).toString("latin1");
  }

  /** When the server accepted it, on the wall clock. */
  get timestampMs(): number {
    if (this.#timestampMs !== undefined) return this.#timestampMs;
    const { timestamp } = this.signal;
    return timestamp === undefined ? 0 : timestampMs(timestamp);
  }

  /** The decoded signal. */
  get signal(): CoordinationSignal {
    this.#signal ??= fromBinary(CoordinationSignalSchema, this.bytes);
    return this.#signal;
  }
}
