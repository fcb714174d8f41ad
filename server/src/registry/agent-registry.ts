import { CoordinationError } from "../model/coordination-error.js";
import { maxAgentsPerCoordination } from "../model/limits.js";
import { isRenewalDue } from "../state/agent-activity.js";
import { type AgentRecord, unknownAgent } from "../state/agent-record.js";
import type { Draft } from "../state/draft.js";

/** What an agent says when it registers. */
export interface Registration {
  readonly agentId: string;
  readonly capabilities: readonly string[];
  readonly provides: readonly { readonly dependencyType: string; readonly dependencyId: string }[];
  readonly metadata: Readonly<Record<string, string>>;
  readonly leaseMs: number;
}

/** Registers an agent or renews its registration; what it does starts anew. Throws COORDINATION_CLOSED, TOO_MANY_AGENTS. */
export function registerAgent(draft: Draft, registration: Registration): AgentRecord {
  const header = draft.begin();
  if (header.closeTimeMs !== undefined) throw coordinationClosed(header.coordinationId, header.closeReason);
  const known = knownOrNewAgent(draft, registration.agentId, registration.leaseMs);
  const record: AgentRecord = {
    ...known,
    ...registration,
    isRegistered: true,
    registerTimeMs: draft.nowMs,
    registeredAfter: known.isRegistered ? known.registeredAfter : String(header.headSequence),
    renewedAfter: String(header.headSequence),
    lastHeartbeatMs: draft.nowMs,
    progress: "",
    milestone: "none",
  };
  draft.putAgent(record);
  draft.changeHeader({}, { kind: "agentRegistered", actors: [record.agentId] });
  return record;
}

/** Renews a lease; text in `progress` says that work has moved. Throws AGENT_NOT_FOUND. */
export function heartbeatAgent(draft: Draft, agentId: string, progress: string): AgentRecord {
  const known = registeredAgent(draft, agentId);
  const moved = progress !== "" ? { progress, lastProgressMs: draft.nowMs } : {};
  const record = { ...draft.activity.renewed(known, draft.nowMs), lastHeartbeatMs: draft.nowMs, ...moved };
  draft.putAgent(record);
  draft.changeHeader({}, { kind: "agentHeartbeat", actors: [agentId], detail: progress });
  return record;
}

/**
 * Notes that an agent's work moves: in its record only where that is due, or what moves it would cost twice as much. Nobody becomes
 * known by it.
 */
export function noteProgress(draft: Draft, agentId: string): void {
  const known = draft.agent(agentId);
  if (known === undefined) return;
  draft.noteMoved(agentId);
  if (isProgressDue(draft, known)) draft.putAgent(movedAgent(draft, known));
}

/** Whether it is due in an agent's record that its work moves now. */
export function isProgressDue({ activity, nowMs }: Draft, record: AgentRecord): boolean {
  return isRenewalDue(record, nowMs) || activity.isProgressDue(record, nowMs);
}

/** The agent's record when its work moves now. */
export function movedAgent({ nowMs }: Draft, record: AgentRecord): AgentRecord {
  return { ...record, lastHeartbeatMs: nowMs, lastProgressMs: nowMs };
}

/** Ends a registration; that the agent has sent signals, and what they said of it, stays known. Throws AGENT_NOT_FOUND. */
export function deregisterAgent(draft: Draft, agentId: string): void {
  const known = registeredAgent(draft, agentId);
  if (known.firstSequence === undefined) draft.removeAgent(agentId);
  else draft.putAgent({ ...unknownAgent(agentId, known.leaseMs), ...signalledBy(known) });
  draft.changeHeader({}, { kind: "agentDeregistered", actors: [agentId] });
}

/** What an agent's own signals have said, and which of them no longer count. */
function signalledBy(record: AgentRecord): Partial<AgentRecord> {
  const { firstSequence, milestone, initializedSequence, completion, renewedAfter } = record;
  return { firstSequence, milestone, initializedSequence, completion, renewedAfter };
}

/** The agent's record, or a new one. Throws TOO_MANY_AGENTS for a new one beyond the limit. */
export function knownOrNewAgent(draft: Draft, agentId: string, leaseMs: number): AgentRecord {
  const known = draft.agent(agentId);
  if (known !== undefined) return known;
  if (draft.agentCount >= maxAgentsPerCoordination) {
    throw new CoordinationError(
      "TOO_MANY_AGENTS",
      `the coordination knows ${maxAgentsPerCoordination} agents, which is its limit`,
      { metadata: { limit: String(maxAgentsPerCoordination) } },
    );
  }
  return unknownAgent(agentId, leaseMs);
}

/** Says that a coordination takes nothing new. */
export function coordinationClosed(coordinationId: string, reason: string): CoordinationError {
  const why = reason === "" ? "" : `: ${reason}`;
  return new CoordinationError("COORDINATION_CLOSED", `coordination "${coordinationId}" was closed${why}`, {
    metadata: { coordination_id: coordinationId },
  });
}

/** Says that an agent is not registered where a registered one is asked for. */
export function agentNotFound(coordinationId: string, agentId: string): CoordinationError {
  return new CoordinationError(
    "AGENT_NOT_FOUND",
    `agent "${agentId}" is not registered in coordination "${coordinationId}"`,
    { metadata: { agent_id: agentId } },
  );
}

/** Says that there is no such coordination. */
export function coordinationNotFound(coordinationId: string): CoordinationError {
  return new CoordinationError("COORDINATION_NOT_FOUND", `coordination "${coordinationId}" does not exist`, {
    metadata: { coordination_id: coordinationId },
  });
}

function registeredAgent(draft: Draft, agentId: string): AgentRecord {
  const { header } = draft;
  if (header === undefined) throw coordinationNotFound(draft.coordinationId);
  const known = draft.agent(agentId);
  if (!known?.isRegistered) throw agentNotFound(header.coordinationId, agentId);
  return known;
}
