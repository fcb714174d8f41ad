import type { CoordinationSession } from "@coordination-signals/client";
import type { ArtifactFolder } from "../artifacts/artifact-folder.js";
import type { Capability } from "./vocabulary.js";

/** What an agent works with. */
export interface AgentContext {
  /** The agent's session: sends as the agent, in its coordination. */
  readonly session: CoordinationSession;
  /** Where the agents of the workflow leave their files. */
  readonly folder: ArtifactFolder;
  /** Aborted when the agent has to stop. */
  readonly signal: AbortSignal;
  /** A generator hangs after so many contracts, with the last one not acknowledged, so that it can be killed there; for trying out. */
  readonly hangAt: number | undefined;
}

/** What an agent has to say when its work is done. */
export interface AgentOutcome {
  readonly summary: string;
  /** From 0 to 1; undefined when there was nothing to measure. */
  readonly qualityScore: number | undefined;
  /** Paths in the output folder, at most 1,000. */
  readonly artifacts: readonly string[];
  /** Why the work failed; undefined when it did not. */
  readonly error: string | undefined;
}

/**
 * An agent of the workflow. It has no memory of its own: the server knows what was resolved, what is still to be done and who
 * waits, and request ids are computed from what they stand for. So it does not matter when it starts, or how often.
 */
export interface WorkflowAgent {
  readonly capability: Capability;
  /** Does the work to its end. */
  work(): Promise<AgentOutcome>;
  /** What goes on when the work has completed, now or in an earlier life; without it, the process ends. */
  serve?(): Promise<void>;
}
