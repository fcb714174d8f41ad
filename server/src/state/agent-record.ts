/** What one agent may resolve: globs over dependency types and ids. */
export interface ProvisionRecord {
  readonly dependencyType: string;
  readonly dependencyId: string;
}

/** The last of the milestones that an agent's own signals set since it registered. */
export type AgentMilestone = "none" | "starting" | "initialized" | "completed" | "failed";

/** How an agent's work ended, last time. */
export interface CompletionRecord {
  /** The signal that said so, in decimal. */
  readonly sequence: string;
  /** From 0 to 1; undefined where none was given. */
  readonly qualityScore?: number | undefined;
  /** Undefined where it ended well; its beginning where it is long. */
  readonly error?: string | undefined;
}

/** What signals of an agent have said of it; a registration takes back the milestone and nothing else. */
export interface AgentProgress {
  readonly milestone: AgentMilestone;
  /** Its latest AgentInitialized, in decimal; undefined where there was none. */
  readonly initializedSequence?: string | undefined;
  /** Its latest completion after that; undefined where there was none. */
  readonly completion?: CompletionRecord | undefined;
}

/** What a coordination remembers of an agent: its registration, and that it has sent signals. */
export interface AgentRecord extends AgentProgress {
  readonly agentId: string;
  /** False for a sender that never registered, and after deregistration. */
  readonly isRegistered: boolean;
  readonly capabilities: readonly string[];
  readonly provides: readonly ProvisionRecord[];
  readonly metadata: Readonly<Record<string, string>>;
  readonly leaseMs: number;
  readonly registerTimeMs: number;
  /**
   * The head when it registered and had not been before, in decimal: later broadcasts are for it. Undefined where it was written
   * before this was kept, and while it is not registered.
   */
  readonly registeredAfter?: string | undefined;
  /**
   * The head when it last registered, for the first time or again, in decimal: signals up to there say nothing of its milestone any
   * more. Undefined where it never did, or did before this was kept.
   */
  readonly renewedAfter?: string | undefined;
  readonly lastHeartbeatMs: number;
  readonly lastProgressMs: number;
  /** What the last heartbeat with progress said; empty if none did since it registered. */
  readonly progress: string;
  /** Sequence of its first signal, in decimal; undefined while it has sent none. */
  readonly firstSequence: string | undefined;
}

/** An agent of which nothing is known yet. */
export function unknownAgent(agentId: string, leaseMs: number): AgentRecord {
  return {
    agentId,
    isRegistered: false,
    capabilities: [],
    provides: [],
    metadata: {},
    leaseMs,
    registerTimeMs: 0,
    lastHeartbeatMs: 0,
    lastProgressMs: 0,
    progress: "",
    milestone: "none",
    firstSequence: undefined,
  };
}

/** Whether an agent can be addressed: it is registered, alive or not, or it has sent a signal. */
export function isKnownAgent(record: AgentRecord | undefined): boolean {
  return record !== undefined && (record.isRegistered || record.firstSequence !== undefined);
}
