import { CoordinationError } from "../../model/coordination-error.js";
import { isLiveAgent } from "../../registry/agent-state.js";
import type { Draft } from "../../state/draft.js";

const maxNamedAgents = 16;

/**
 * Checks that somebody can be expected to reply: a recipient, or, where none is named, any other agent, whose lease runs. Throws
 * NO_RESPONDERS.
 */
export function checkResponders(
  draft: Draft,
  {
    senderAgentId,
    recipientAgentIds,
  }: { readonly senderAgentId: string; readonly recipientAgentIds: readonly string[] },
): void {
  const { activity, nowMs } = draft;
  const isResponder = (agentId: string): boolean => {
    const record = draft.agent(agentId);
    return agentId !== senderAgentId && record !== undefined && isLiveAgent({ record, activity, nowMs });
  };
  if (recipientAgentIds.length > 0) {
    if (recipientAgentIds.some(isResponder)) return;
    const recipients = recipientAgentIds.slice(0, maxNamedAgents);
    throw noResponders(`none of the recipients has a live lease: ${recipients.join(", ")}`, recipients);
  }
  for (const { agentId } of draft.agents()) if (isResponder(agentId)) return;
  throw noResponders("no other agent has a live lease", []);
}

function noResponders(why: string, recipients: readonly string[]): CoordinationError {
  return new CoordinationError("NO_RESPONDERS", `nobody can reply: ${why}`, {
    metadata: { recipients: recipients.join(",") },
  });
}
