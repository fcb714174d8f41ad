import type { JsonObject } from "@bufbuild/protobuf";
import type { SignalPriority } from "../signals/signal-priority.js";

/** An agent has started. */
export interface AgentInitializedInit {
  /** What the agent can do, in words the workflow agrees on. At most 128. */
  readonly capabilities?: readonly string[] | undefined;
  /** Whether the agent takes work already. Default false. */
  readonly ready?: boolean | undefined;
  /** How long the start took, in milliseconds. */
  readonly initializationTimeMs?: number | undefined;
}

/** An agent has finished its work, or given up. */
export interface AgentCompletedInit {
  /** What was done, for people to read. */
  readonly resultSummary?: string | undefined;
  /** How good the result is, from 0 to 1. */
  readonly qualityScore?: number | undefined;
  /** How long the work took, in milliseconds. */
  readonly executionTimeMs?: number | undefined;
  /** Names or paths of what was made. At most 1,000. */
  readonly artifactsGenerated?: readonly string[] | undefined;
  /** Why the work failed. Only when it did: the agent's state is then FAILED. */
  readonly error?: string | undefined;
}

/** Something that others may depend on now exists. */
export interface DependencyResolvedInit {
  /** The kind of dependency, for example "model". */
  readonly dependencyType: string;
  /** The dependency's name within its kind, for example "UserModel". */
  readonly dependencyId: string;
  /** The agent that resolved it. Default: the sender. */
  readonly resolvedBy?: string | undefined;
  /** Whatever a dependent needs to use it, for example a file path or a schema. */
  readonly resolutionData?: JsonObject | undefined;
}

/** One agent tells others something. */
export interface InterAgentMessageInit {
  /** What kind of message it is, in words the workflow agrees on, for example "request". */
  readonly messageType: string;
  /** The message, for people to read. */
  readonly message?: string | undefined;
  /** Whether the sender expects a reply: a signal of another agent whose correlationId is this signal's id. Default false. */
  readonly requiresResponse?: boolean | undefined;
  /** How long the sender waits for the reply, in milliseconds. */
  readonly responseTimeoutMs?: number | undefined;
  /** The message, for programs to read. */
  readonly payload?: JsonObject | undefined;
}

/** What happened, by its type. */
export type SignalEventInit =
  | { readonly case: "agentInitialized"; readonly value: AgentInitializedInit }
  | { readonly case: "agentCompleted"; readonly value: AgentCompletedInit }
  | { readonly case: "dependencyResolved"; readonly value: DependencyResolvedInit }
  | { readonly case: "interAgentMessage"; readonly value: InterAgentMessageInit };

/** What any signal can carry beside its event. */
export interface SignalOptions {
  /** The agents it is addressed to. Default: everyone. At most 1,000. */
  readonly recipients?: readonly string[] | undefined;
  /** How urgent it is. Default "normal". */
  readonly priority?: SignalPriority | undefined;
  /** What it answers or belongs to, for example the signalId of a request. */
  readonly correlationId?: string | undefined;
  /** Free key-value pairs. At most 64. */
  readonly metadata?: Readonly<Record<string, string>> | undefined;
  /**
   * The sender's own name for this request: 1 to 128 printable ASCII characters. Sent again, it gets the first answer and
   * stores nothing. Default: a new UUIDv7. Give one to be able to repeat a send after a TimeoutError or a crash.
   */
  readonly requestId?: string | undefined;
  /** Stores the signal only if this is the coordination's head sequence; 0n means only as its first. */
  readonly expectedSequence?: bigint | undefined;
}

/** A signal to send. */
export interface OutgoingSignal extends SignalOptions {
  readonly event: SignalEventInit;
}

/** Who sends, and where. */
export interface Sender {
  readonly coordinationId: string;
  readonly agentId: string;
}
