import { DeadlockError, DependencyFailedError } from "@coordination-signals/client";
import { maxWaitMs } from "../limits.js";
import { messageTypes } from "./vocabulary.js";
import type { AgentContext } from "./workflow-agent.js";

/**
 * Waits until another agent has had its turn: until it has completed, well or not. When the server refuses the wait, because the
 * other one waits for this agent already, directly or not, this agent tells everybody and goes first: somebody has to.
 */
export async function awaitTurn({ session, signal }: AgentContext, after: string): Promise<void> {
  try {
    await session.waitFor({ agentId: after }, { timeoutMs: maxWaitMs, signal });
  } catch (error) {
    if (error instanceof DependencyFailedError) return;
    if (!(error instanceof DeadlockError)) throw error;
    const { reason, message, path } = error;
    await session.message(
      { messageType: messageTypes.deadlockRefused, message: `${reason}: ${message}`, payload: { path: [...path] } },
      { signal },
    );
  }
}
