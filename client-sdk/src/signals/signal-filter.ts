import { create } from "@bufbuild/protobuf";
import { timestampFromDate } from "@bufbuild/protobuf/wkt";
import { Priority, type SignalFilter, SignalFilterSchema } from "@coordination-signals/proto/coordination/v1/signal";
import { invalidOption } from "../errors/invalid-option.js";
import { priorityFromName, type SignalPriority } from "./signal-priority.js";
import { isSignalEventCase, type SignalEventCase, signalTypeFromCase } from "./typed-signal.js";

/** Which signals to read. Every part that is given must match; without any, all do. */
export interface SignalFilterOptions<Case extends SignalEventCase = SignalEventCase> {
  /** Signals of any of these types. At least one; leave it out for all. Narrows the type of what is read. */
  readonly types?: readonly Case[] | undefined;
  /** Signals of any of these senders: agent ids, or globs with `*` and `?`. At most 100. */
  readonly senders?: readonly string[] | undefined;
  /** Signals of this priority or a higher one. */
  readonly minPriority?: SignalPriority | undefined;
  /** Signals whose metadata has all these keys with these values. At most 32. */
  readonly metadata?: Readonly<Record<string, string>> | undefined;
  /** A CEL expression over `signal` that yields a bool, for example `signal.agent_completed.quality_score < 0.9`. */
  readonly expression?: string | undefined;
  /** Signals accepted at this time or later. */
  readonly afterTime?: Date | undefined;
  /** Signals accepted before this time. A subscription ends once everything before it was seen and the time has passed. */
  readonly beforeTime?: Date | undefined;
}

/** The names of a filter's parts. */
export const signalFilterKeys = [
  "types",
  "senders",
  "minPriority",
  "metadata",
  "expression",
  "afterTime",
  "beforeTime",
] as const satisfies readonly (keyof SignalFilterOptions)[];

/** Makes the contract's filter. Throws InvalidRequestError for what could match more than was meant. */
export function signalFilterFrom(options: SignalFilterOptions): SignalFilter {
  return create(SignalFilterSchema, {
    signalTypes: typesFrom(options.types),
    senderAgentIds: sendersFrom(options.senders),
    minPriority: minPriorityFrom(options.minPriority),
    metadata: { ...options.metadata },
    expression: options.expression ?? "",
    ...(options.afterTime && { afterTime: timestampFromDate(options.afterTime) }),
    ...(options.beforeTime && { beforeTime: timestampFromDate(options.beforeTime) }),
  });
}

/**
 * Throws InvalidRequestError for an option nobody reads. A misspelt part of a filter would otherwise match everything.
 */
export function assertKnownOptions(options: object, known: readonly string[]): void {
  for (const key of Object.keys(options)) {
    if (!known.includes(key))
      throw invalidOption(`unknown option ${JSON.stringify(key)}, known are ${known.join(", ")}`);
  }
}

// The contract reads an empty list as "all", which is not what a computed list that came out empty means.
function typesFrom(types: readonly SignalEventCase[] | undefined) {
  if (types === undefined) return [];
  if (types.length === 0) throw invalidOption("types is empty, leave it out to read every type");
  return types.map((type) => {
    if (!isSignalEventCase(type)) throw invalidOption(`types has ${JSON.stringify(type)}, which is no signal type`);
    return signalTypeFromCase(type);
  });
}

function sendersFrom(senders: readonly string[] | undefined): string[] {
  if (senders === undefined) return [];
  if (senders.length === 0) throw invalidOption("senders is empty, leave it out to read every sender");
  return [...senders];
}

function minPriorityFrom(name: SignalPriority | undefined): Priority {
  if (name === undefined) return Priority.UNSPECIFIED;
  const priority = priorityFromName(name);
  if (priority === undefined) throw invalidOption(`minPriority is ${JSON.stringify(name)}, which is no priority`);
  return priority;
}
