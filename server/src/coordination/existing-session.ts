import { coordinationNotFound } from "../registry/agent-registry.js";
import type { SessionState } from "../state/session-state.js";
import type { CoordinationHeader } from "../store/signal-store.js";

/** A coordination as it is now: its state, and its header, which it has because it exists. */
export interface ExistingSession {
  readonly session: SessionState;
  readonly header: CoordinationHeader;
}

/** Throws COORDINATION_NOT_FOUND. */
export function existingSession(session: SessionState): ExistingSession {
  const { header } = session;
  if (header === undefined) throw coordinationNotFound(session.coordinationId);
  return { session, header };
}
