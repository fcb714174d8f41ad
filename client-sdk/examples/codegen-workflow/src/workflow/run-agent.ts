import { createCoordinationClient, DependencyFailedError } from "@coordination-signals/client";
import { ArtifactFolder } from "../artifacts/artifact-folder.js";
import { hasCompletedWell } from "./agent-facts.js";
import { awaitTurn } from "./await-turn.js";
import type { AgentContext, AgentOutcome, WorkflowAgent } from "./workflow-agent.js";

/** Who an agent is, and where it works. */
export interface AgentRun {
  /** Base URL of the coordination server. */
  readonly server: string;
  readonly coordinationId: string;
  readonly agentId: string;
  /** The folder that the agents of the workflow share. */
  readonly outputFolder: string;
  /** The agent that has to complete before this one begins; undefined to begin at once. */
  readonly after: string | undefined;
  /** As in AgentContext. */
  readonly hangAt: number | undefined;
  /** Aborts the run: the agent leaves without completing, so that it can be started again. */
  readonly signal: AbortSignal;
  createAgent(context: AgentContext): WorkflowAgent;
}

/** Why an agent completed with an error. */
export interface AgentError {
  readonly message: string;
  /** Whether it is an outcome that the other agents can live with, rather than the end of work that could not be done. */
  readonly isOutcome: boolean;
}

/**
 * Runs an agent until it has completed, and serves the others for as long as they need it. An agent that completed well before
 * in this coordination neither announces itself nor completes again.
 * @returns the error with which the agent completed; undefined when it completed well.
 * @throws the signal's reason when the run is aborted, and CoordinationClientError when the server cannot be used.
 */
export async function runAgent(run: AgentRun): Promise<AgentError | undefined> {
  await using client = createCoordinationClient({ baseUrl: run.server });
  const session = client.coordination(run.coordinationId, { agentId: run.agentId });
  const folder = new ArtifactFolder(run.outputFolder);
  const context: AgentContext = { session, folder, signal: run.signal, hangAt: run.hangAt };
  const agent = run.createAgent(context);
  try {
    const error = (await hasCompletedWell(context)) ? undefined : await announceAndWork(context, agent, run.after);
    await agent.serve?.();
    return error === undefined ? undefined : { message: error, isOutcome: true };
  } catch (error) {
    if (run.signal.aborted) throw run.signal.reason;
    const message = messageOf(error);
    await complete(context, { summary: `gave up: ${message}`, qualityScore: undefined, artifacts: [], error: message });
    return { message, isOutcome: error instanceof DependencyFailedError };
  }
}

async function announceAndWork(
  context: AgentContext,
  agent: WorkflowAgent,
  after: string | undefined,
): Promise<string | undefined> {
  await context.session.initialized(
    // Counted from the start of the process.
    { capabilities: [agent.capability], ready: true, initializationTimeMs: performance.now() },
    { signal: context.signal },
  );
  if (after !== undefined) await awaitTurn(context, after);
  const outcome = await agent.work();
  await complete(context, outcome);
  return outcome.error;
}

async function complete({ session }: AgentContext, outcome: AgentOutcome): Promise<void> {
  await session.completed({
    resultSummary: outcome.summary,
    qualityScore: outcome.qualityScore,
    executionTimeMs: performance.now(),
    artifactsGenerated: outcome.artifacts,
    error: outcome.error,
  });
}

/** What was waited for has failed: that is said as the one who failed has said it. */
function messageOf(error: unknown): string {
  if (error instanceof DependencyFailedError) return `${error.agentId} failed: ${error.metadata["error"]}`;
  return error instanceof Error ? error.message : String(error);
}
