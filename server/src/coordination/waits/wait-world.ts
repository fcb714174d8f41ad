import { isLiveAgent, leaseExpireMs } from "../../registry/agent-state.js";
import type { AgentActivity } from "../../state/agent-activity.js";
import type { AgentRecord } from "../../state/agent-record.js";
import type { Draft } from "../../state/draft.js";
import type { SessionState } from "../../state/session-state.js";
import type { WaitRecord } from "../../state/wait-record.js";
import type { WaitFacts } from "./condition-state.js";

/** A server with open waits counts as gone when it was not heard of for so long. */
export const waitOwnerLeaseMs = 20_000;

/** A coordination at one moment, as far as its waits are concerned. */
export interface WaitWorld extends WaitFacts {
  readonly nowMs: number;
  readonly headSequence: bigint;
  /** The open waits whose servers are alive and whose time is not over, in no order. */
  readonly waits: readonly WaitRecord[];
  /** Those of one agent; costs nothing for all the others. */
  waitsOf(agentId: string): readonly WaitRecord[];
  /** Every agent of which anything is known. */
  agents(): Iterable<AgentRecord>;
  readonly activity: AgentActivity;
}

/** What an agent can be expected to do. */
export type AgentStanding =
  /** One of its waits is open. */
  | "waiting"
  /** It is registered and its lease runs, or it was heard of lately without being registered. */
  | "live"
  /** Its lease has run out. */
  | "offline"
  /** It has completed. */
  | "completed"
  /** It has completed with an error. */
  | "failed"
  /** It is not registered: never was, or not any more. */
  | "unregistered";

/** A coordination as an operation has it, under the lock. */
export function worldOfDraft(draft: Draft, owner: string): WaitWorld {
  let waits: readonly WaitRecord[] | undefined;
  const owners = draft.waits.owners();
  const server = { owner, nowMs: draft.nowMs };
  return {
    nowMs: draft.nowMs,
    headSequence: draft.headSequence,
    get waits() {
      waits ??= liveWaits(draft.waits.all(), owners, server);
      return waits;
    },
    waitsOf: (agentId) => liveWaits(draft.waits.ofAgent(agentId), owners, server),
    agent: (agentId) => draft.agent(agentId),
    agents: () => draft.agents(),
    dependency: (key) => draft.dependency(key),
    activity: draft.activity,
  };
}

/** A coordination as of its last commit. */
export function worldOfSession(session: SessionState, server: WaitServer): WaitWorld {
  let waits: readonly WaitRecord[] | undefined;
  return {
    nowMs: server.nowMs,
    headSequence: session.header?.headSequence ?? 0n,
    get waits() {
      waits ??= liveWaits(session.waits.values(), session.waitOwners, server);
      return waits;
    },
    waitsOf: (agentId) => liveWaits(session.waitsOf(agentId), session.waitOwners, server),
    agent: (agentId) => session.agent(agentId),
    agents: () => session.agents.values(),
    dependency: (key) => session.dependency(key),
    activity: session.activity,
  };
}

/** Who looks, and when. */
export interface WaitServer {
  /** This server, among those that have open waits. */
  readonly owner: string;
  readonly nowMs: number;
}

/** Whether a server with open waits is there. */
export function isOwnerAlive(wait: WaitRecord, owners: ReadonlyMap<string, number>, server: WaitServer): boolean {
  if (wait.owner === server.owner) return true;
  return server.nowMs - (owners.get(wait.owner) ?? 0) < waitOwnerLeaseMs;
}

/** The agents that have open waits. */
export function waitingAgents({ waits }: Pick<WaitWorld, "waits">): ReadonlySet<string> {
  return new Set(waits.map(({ agentId }) => agentId));
}

/** What an agent can be expected to do. Being asked to wait is a sign of life: a waiting agent is alive. */
export function agentStanding(world: WaitWorld, agentId: string, waiting: ReadonlySet<string>): AgentStanding {
  if (waiting.has(agentId)) return "waiting";
  const record = world.agent(agentId);
  if (record === undefined) return "unregistered";
  if (record.milestone === "completed") return "completed";
  if (record.milestone === "failed") return "failed";
  const lease = { record, activity: world.activity, nowMs: world.nowMs };
  if (record.isRegistered) return isLiveAgent(lease) ? "live" : "offline";
  return leaseExpireMs(lease) > world.nowMs ? "live" : "unregistered";
}

function liveWaits(
  waits: Iterable<WaitRecord>,
  owners: ReadonlyMap<string, number>,
  server: WaitServer,
): readonly WaitRecord[] {
  return Array.from(waits).filter((wait) => isOwnerAlive(wait, owners, server) && !isTimeOver(wait, server));
}

/**
 * Whether a wait has ended on its server, though the store has not been told. This server sees its own waits end, whatever the clock
 * says. The clock of another may be behind: then a loop is missed which the end of that wait is about to break anyway.
 */
function isTimeOver({ owner, expireTimeMs }: WaitRecord, server: WaitServer): boolean {
  return owner !== server.owner && expireTimeMs <= server.nowMs;
}
