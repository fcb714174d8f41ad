import { coordinationNotFound } from "../registry/agent-registry.js";
import type { Draft } from "../state/draft.js";
import type { CoordinationHeader } from "../store/signal-store.js";

/** Ends a coordination: it takes nothing new. One that is closed stays as it was closed. Throws COORDINATION_NOT_FOUND. */
export function closeCoordination(draft: Draft, reason: string): CoordinationHeader {
  const { header } = draft;
  if (header === undefined) throw coordinationNotFound(draft.coordinationId);
  if (header.closeTimeMs !== undefined) return header;
  return draft.changeHeader(
    { closeTimeMs: draft.nowMs, closeReason: reason },
    { kind: "closed", actors: [], detail: reason },
  );
}

/** Removes a coordination. Throws COORDINATION_NOT_FOUND. */
export function deleteCoordination(draft: Draft): void {
  if (draft.header === undefined) throw coordinationNotFound(draft.coordinationId);
  draft.remove();
}
