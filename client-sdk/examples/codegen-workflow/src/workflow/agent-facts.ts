/** What agents learn of each other: not from their names, but from what they have signalled. */
import { AgentState, type CoordinationSignal, NotFoundError } from "@coordination-signals/client";
import { maxWaitMs } from "../limits.js";
import type { Capability } from "./vocabulary.js";
import type { AgentContext } from "./workflow-agent.js";

/** Waits for an agent that can do something, and tells its id. It may go on with other work meanwhile. */
export async function agentWith(context: AgentContext, capability: Capability): Promise<string> {
  const expression = `${JSON.stringify(capability)} in signal.agent_initialized.capabilities`;
  const { sequences } = await context.session.waitFor(
    { signal: { types: ["agentInitialized"], expression } },
    { timeoutMs: maxWaitMs, independent: true, signal: context.signal },
  );
  return (await signalAt(context, sequences[0])).senderAgentId;
}

/** Reads the signal that has met a condition. */
export async function signalAt(
  { session, signal }: AgentContext,
  sequence: bigint | undefined,
): Promise<CoordinationSignal> {
  if (sequence !== undefined) {
    const replay = session.replay({ afterSequence: sequence - 1n, untilSequence: sequence, signal });
    for await (const found of replay) return found;
  }
  throw new Error(`the server no longer keeps signal ${sequence}`);
}

/**
 * Whether this agent completed well in an earlier life.
 * @throws Error when the server no longer has the coordination's beginning: who knows half of what happened would miss the rest.
 */
export async function hasCompletedWell({ session, signal }: AgentContext): Promise<boolean> {
  try {
    const { coordination, agents } = await session.overview({ signal });
    const oldest = coordination?.oldestSequence ?? 1n;
    if (oldest > 1n) throw new Error(`the server no longer keeps signals 1 to ${oldest - 1n}`);
    return agents.some(({ agentId, state }) => agentId === session.agentId && state === AgentState.COMPLETED);
  } catch (error) {
    if (error instanceof NotFoundError && error.reason === "COORDINATION_NOT_FOUND") return false;
    throw error;
  }
}
