import { create, type JsonObject, toBinary } from "@bufbuild/protobuf";
import { BinaryReader } from "@bufbuild/protobuf/wire";
import {
  type CoordinationSignal,
  CoordinationSignalSchema,
  Priority,
} from "@coordination-signals/proto/coordination/v1/signal";
import { type SendSignalRequest, SignalBatchSchema } from "@coordination-signals/proto/coordination/v1/signal_service";
import { canonicalObject, sortedMap } from "./canonical-object.js";
import { CoordinationError } from "./coordination-error.js";
import { maxSignalBytes } from "./limits.js";
import { PreparedSignal, positionBytes, withRoom } from "./prepared-signal.js";
import { factsOfSignal } from "./signal-facts.js";

/** What became of the preparation of one request. */
export type Preparation =
  | { readonly prepared: PreparedSignal; readonly error?: undefined }
  | { readonly prepared?: undefined; readonly error: unknown };

/**
 * Prepares a request that has passed validation. An empty agent id in the event becomes the sender's.
 * Throws INVALID_REQUEST for an event that speaks for another agent, SIGNAL_TOO_LARGE past 256 KiB.
 */
export function prepareSignal(request: SendSignalRequest): PreparedSignal {
  const [preparation] = prepareSignals([request]);
  if (preparation?.prepared === undefined) throw preparation?.error;
  return preparation.prepared;
}

/** Prepares requests, each for itself as `prepareSignal` does; encoded in one go, which costs half as much as one by one. */
export function prepareSignals(requests: readonly SendSignalRequest[]): readonly Preparation[] {
  const signals = requests.map((request) => {
    try {
      return canonicalSignal(request);
    } catch (error) {
      return { error };
    }
  });
  const bodies = encodedSignals(signals.filter((signal) => isSignal(signal)));
  let next = 0;
  return requests.map((request, index) => {
    const signal = signals[index];
    if (signal === undefined || !isSignal(signal)) return { error: signal?.error };
    const body = bodies[next++];
    if (body === undefined) throw new RangeError(`${bodies.length} signals were encoded, one is missing`);
    return preparationOf(request, signal, body);
  });
}

function isSignal(made: CoordinationSignal | { readonly error: unknown }): made is CoordinationSignal {
  return "$typeName" in made;
}

function preparationOf(request: SendSignalRequest, signal: CoordinationSignal, body: Uint8Array): Preparation {
  const bytes = body.length + positionBytes;
  if (bytes > maxSignalBytes) {
    const metadata = { size_bytes: String(bytes), limit_bytes: String(maxSignalBytes) };
    const message = `signal is ${bytes} bytes, limit is ${maxSignalBytes}`;
    return { error: new CoordinationError("SIGNAL_TOO_LARGE", message, { metadata }) };
  }
  const { expectedSequence } = request;
  // A copy of its own: what was encoded together would be kept by the last one of it.
  const facts = factsOfSignal(signal);
  return { prepared: new PreparedSignal({ facts, expectedSequence, bytes: withRoom(body), signal }) };
}

function canonicalSignal(request: SendSignalRequest): CoordinationSignal {
  const signal = create(CoordinationSignalSchema);
  signal.coordinationId = request.coordinationId;
  signal.senderAgentId = request.senderAgentId;
  signal.recipientAgentIds = request.recipientAgentIds;
  signal.priority = request.priority === Priority.UNSPECIFIED ? Priority.NORMAL : request.priority;
  signal.correlationId = request.correlationId;
  signal.metadata = sortedMap(request.metadata);
  signal.requestId = request.requestId;
  signal.event = canonicalEvent(request);
  return signal;
}

/** Encodes signals as one message, whose only field they are, and cuts it into theirs. */
function encodedSignals(signals: CoordinationSignal[]): readonly Uint8Array[] {
  const bytes = toBinary(SignalBatchSchema, create(SignalBatchSchema, { signals }));
  const reader = new BinaryReader(bytes);
  const bodies: Uint8Array[] = [];
  while (reader.pos < reader.len) {
    reader.tag();
    bodies.push(reader.bytes());
  }
  return bodies;
}

function canonicalEvent(request: SendSignalRequest): CoordinationSignal["event"] {
  const event = request.event;
  const sender = request.senderAgentId;
  switch (event.case) {
    case "agentInitialized":
    case "agentCompleted":
      if (event.value.agentId !== "" && event.value.agentId !== sender) {
        throw new CoordinationError(
          "INVALID_REQUEST",
          `agent_id of the event is "${event.value.agentId}", the sender is "${sender}": an agent speaks for itself only`,
        );
      }
      event.value.agentId = sender;
      return event;
    case "dependencyResolved":
      if (event.value.resolvedBy === "") event.value.resolvedBy = sender;
      event.value.resolutionData = canonicalStruct(event.value.resolutionData, "resolution_data");
      return event;
    case "interAgentMessage":
      event.value.payload = canonicalStruct(event.value.payload, "payload");
      return event;
    case undefined:
      throw new CoordinationError("INVALID_REQUEST", "event is not set: a signal says what happened");
  }
}

function canonicalStruct(value: JsonObject | undefined, field: string): JsonObject | undefined {
  return value === undefined ? undefined : canonicalObject(value, field);
}
