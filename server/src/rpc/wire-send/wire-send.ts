import { fromBinary } from "@bufbuild/protobuf";
import {
  type BatchSendSignalsRequest,
  type SendSignalRequest,
  SendSignalRequestSchema,
  type StreamSignalsRequest,
} from "@coordination-signals/proto/coordination/v1/signal_service";
import { prepareSignal } from "../../model/prepare-signals.js";
import { PreparedSignal } from "../../model/prepared-signal.js";
import type { EnvelopeReader } from "./envelope-reader.js";

/** A request that was read out of bytes that keep every rule of the contract. */
export abstract class CheckedRequest {}

/**
 * A SendSignalRequest whose signal is prepared: its bytes were in the form in which signals are stored. Whoever wants to know more
 * of it than who sends it finds the message, decoded then.
 */
export class WireSend extends CheckedRequest implements SendSignalRequest {
  readonly $typeName = SendSignalRequestSchema.typeName;
  readonly prepared: PreparedSignal;
  /** As of a preparation that has not failed. */
  readonly error = undefined;
  readonly #bytes: Uint8Array;
  readonly #start: number;
  readonly #stop: number;
  #message: SendSignalRequest | undefined;

  constructor(envelope: EnvelopeReader, body: Uint8Array, start: number, stop: number) {
    super();
    const { coordinationId, senderAgentId, recipientAgentIds, priority, correlationId, requestId, type } = envelope;
    this.prepared = new PreparedSignal({
      facts: { coordinationId, senderAgentId, recipientAgentIds, priority, correlationId, requestId, type },
      expectedSequence: envelope.expectedSequence,
      bytes: body,
    });
    this.#bytes = envelope.bytes;
    this.#start = start;
    this.#stop = stop;
  }

  get coordinationId(): string {
    return this.prepared.facts.coordinationId;
  }

  get senderAgentId(): string {
    return this.prepared.facts.senderAgentId;
  }

  get recipientAgentIds(): string[] {
    return this.#decoded.recipientAgentIds;
  }

  get priority(): SendSignalRequest["priority"] {
    return this.#decoded.priority;
  }

  get correlationId(): string {
    return this.#decoded.correlationId;
  }

  get metadata(): SendSignalRequest["metadata"] {
    return this.#decoded.metadata;
  }

  get requestId(): string {
    return this.#decoded.requestId;
  }

  get expectedSequence(): bigint | undefined {
    return this.prepared.expectedSequence;
  }

  /** None: what names any is left to the library. */
  get requiredAcks(): string[] {
    return this.#decoded.requiredAcks;
  }

  get event(): SendSignalRequest["event"] {
    return this.#decoded.event;
  }

  get #decoded(): SendSignalRequest {
    this.#message ??= fromBinary(SendSignalRequestSchema, this.#bytes.subarray(this.#start, this.#stop));
    return this.#message;
  }
}

/** A BatchSendSignalsRequest; what it holds was not checked with it. */
export class WireBatch extends CheckedRequest implements BatchSendSignalsRequest {
  readonly $typeName = "coordination.v1.BatchSendSignalsRequest";
  readonly requests: SendSignalRequest[];
  readonly atomic: boolean;

  constructor(requests: SendSignalRequest[], atomic: boolean) {
    super();
    this.requests = requests;
    this.atomic = atomic;
  }
}

/** A StreamSignalsRequest with a batch. */
export class WireStreamBatch extends CheckedRequest implements StreamSignalsRequest {
  readonly $typeName = "coordination.v1.StreamSignalsRequest";
  readonly batch: WireBatch;

  constructor(batch: WireBatch) {
    super();
    this.batch = batch;
  }
}

/** The signal that a valid request asks for. Throws what `prepareSignal` throws. */
export function preparedFrom(request: SendSignalRequest): PreparedSignal {
  return request instanceof WireSend ? request.prepared : prepareSignal(request);
}
