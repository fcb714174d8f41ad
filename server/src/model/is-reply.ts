/** What a reply is told by. */
interface PossibleReply {
  readonly correlationId: string;
  readonly senderAgentId: string;
}

/**
 * Whether a signal that comes after another one replies to it: it names it by its correlation_id, and another agent sent it. What an
 * agent sends about its own request is a follow-up.
 */
export function isReply(
  { correlationId, senderAgentId }: PossibleReply,
  request: { readonly signalId: string; readonly senderAgentId: string },
): boolean {
  return correlationId === request.signalId && senderAgentId !== request.senderAgentId;
}
