import { BinaryReader } from "@bufbuild/protobuf/wire";
import {
  type CoordinationSignal,
  CoordinationSignalSchema,
  type Priority,
  type SignalType,
} from "@coordination-signals/proto/coordination/v1/signal";
import { signalTypeOfEvent } from "./signal-type.js";

/** What of a signal decides where it goes: all that most readers ask of it, and far less than its message. */
export interface SignalFacts {
  readonly coordinationId: string;
  readonly senderAgentId: string;
  readonly recipientAgentIds: readonly string[];
  readonly priority: Priority;
  readonly correlationId: string;
  /** Empty where there was none. */
  readonly requestId: string;
  readonly type: SignalType;
}

const { field } = CoordinationSignalSchema;
/** An event's field, and the type that the event makes a signal. */
const typeByField: ReadonlyMap<number, SignalType> = new Map(
  (["agentInitialized", "agentCompleted", "dependencyResolved", "interAgentMessage"] as const).map((name) => [
    field[name].number,
    signalTypeOfEvent({ case: name }),
  ]),
);

/** The facts in a message. */
export function factsOfSignal(signal: CoordinationSignal): SignalFacts {
  const { coordinationId, senderAgentId, recipientAgentIds, priority, correlationId, requestId, event } = signal;
  const type = signalTypeOfEvent(event);
  return { coordinationId, senderAgentId, recipientAgentIds, priority, correlationId, requestId, type };
}

/** Reads the facts out of a signal's bytes, passing over all else. */
export function factsInBytes(bytes: Uint8Array): SignalFacts {
  const reader = new BinaryReader(bytes);
  const recipientAgentIds: string[] = [];
  const facts = { coordinationId: "", senderAgentId: "", priority: 0, correlationId: "", requestId: "", type: 0 };
  while (reader.pos < reader.len) {
    const [number, wireType] = reader.tag();
    if (number === field.coordinationId.number) facts.coordinationId = reader.string();
    else if (number === field.senderAgentId.number) facts.senderAgentId = reader.string();
    else if (number === field.recipientAgentIds.number) recipientAgentIds.push(reader.string());
    else if (number === field.priority.number) facts.priority = reader.int32();
    else if (number === field.correlationId.number) facts.correlationId = reader.string();
    else if (number === field.requestId.number) facts.requestId = reader.string();
    else {
      facts.type = typeByField.get(number) ?? facts.type;
      reader.skip(wireType, number);
    }
  }
  return { ...facts, recipientAgentIds };
}
