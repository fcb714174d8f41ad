import { SignalType } from "@coordination-signals/proto/coordination/v1/signal";

/** The types a stored signal can have, in the order of their numbers. */
export const signalTypes = [
  SignalType.AGENT_INITIALIZED,
  SignalType.AGENT_COMPLETED,
  SignalType.DEPENDENCY_RESOLVED,
  SignalType.INTER_AGENT_MESSAGE,
] as const;

/** How many slots a table indexed by type needs; slot 0 stays empty. */
export const signalTypeSlots = 5;

/** A type's word in metrics and logs, for example `AGENT_COMPLETED`. */
export function signalTypeName(type: SignalType): string {
  return SignalType[type] ?? "UNSPECIFIED";
}

/** The type that an event makes a signal. */
export function signalTypeOfEvent(event: { readonly case: EventCase | undefined }): SignalType {
  return event.case === undefined ? SignalType.UNSPECIFIED : typeByCase[event.case];
}

/** The names of the four events in generated code. */
export type EventCase = "agentInitialized" | "agentCompleted" | "dependencyResolved" | "interAgentMessage";

const typeByCase: Readonly<Record<EventCase, SignalType>> = {
  agentInitialized: SignalType.AGENT_INITIALIZED,
  agentCompleted: SignalType.AGENT_COMPLETED,
  dependencyResolved: SignalType.DEPENDENCY_RESOLVED,
  interAgentMessage: SignalType.INTER_AGENT_MESSAGE,
};
