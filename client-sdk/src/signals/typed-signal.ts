import { type CoordinationSignal, SignalType } from "@coordination-signals/proto/coordination/v1/signal";

/** A signal's type, as the name of its event in `signal.event.case`. */
export type SignalEventCase = NonNullable<CoordinationSignal["event"]["case"]>;

/** The events of one or several types. */
export type SignalEvent<Case extends SignalEventCase> = Extract<CoordinationSignal["event"], { case: Case }>;

/**
 * A signal whose event is known to be of one of the given types, so that for one type `signal.event.value` needs no check.
 * Without a restriction it is the generated `CoordinationSignal`, whose event may also be of a type newer than this package.
 */
export type TypedSignal<Case extends SignalEventCase = SignalEventCase> = [SignalEventCase] extends [Case]
  ? CoordinationSignal
  : CoordinationSignal & { readonly event: SignalEvent<Case> };

const signalTypes: Readonly<Record<SignalEventCase, SignalType>> = {
  agentInitialized: SignalType.AGENT_INITIALIZED,
  agentCompleted: SignalType.AGENT_COMPLETED,
  dependencyResolved: SignalType.DEPENDENCY_RESOLVED,
  interAgentMessage: SignalType.INTER_AGENT_MESSAGE,
};

/** Whether a text names a signal type. */
export function isSignalEventCase(name: string): name is SignalEventCase {
  return Object.hasOwn(signalTypes, name);
}

/** The contract's value for a type. */
export function signalTypeFromCase(name: SignalEventCase): SignalType {
  return signalTypes[name];
}

/** Whether a signal's event is of one of the types; all signals are when no types are given. */
export function isOfTypes<Case extends SignalEventCase>(
  signal: CoordinationSignal,
  types: readonly Case[] | undefined,
): signal is TypedSignal<Case> {
  return types === undefined || types.some((type) => type === signal.event.case);
}
