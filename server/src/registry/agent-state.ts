import { create } from "@bufbuild/protobuf";
import { durationFromMs, timestampFromMs } from "@bufbuild/protobuf/wkt";
import { type Agent, AgentSchema, AgentState } from "@coordination-signals/proto/coordination/v1/agent";
import type { AgentActivity } from "../state/agent-activity.js";
import type { AgentRecord } from "../state/agent-record.js";

/** An agent's lease as of one moment: its record, and when it was last heard of. */
export interface AgentLease {
  readonly record: AgentRecord;
  readonly activity: AgentActivity;
  /** Wall clock in milliseconds. */
  readonly nowMs: number;
}

/** What open waits say of an agent. Times are on the wall clock, in milliseconds. */
export interface AgentLoad {
  /** Since when the agent waits; undefined when it does not. */
  readonly waitingSinceMs: number | undefined;
  /** Since when others wait for the agent by name; undefined when nobody does. */
  readonly awaitedSinceMs: number | undefined;
  /** When one of those it waits for, directly or not, last made progress. */
  readonly awaitedProgressMs: number;
}

/** How long an agent may make no progress before it counts as stalled, in milliseconds. */
export interface StallLimits {
  readonly busyStallMs: number;
  readonly waitingStallMs: number;
}

/** An agent as of one moment. */
export interface AgentView extends AgentLease {
  readonly load: AgentLoad;
  readonly limits: StallLimits;
}

/** An agent that has to do with no wait. */
export const noLoad: AgentLoad = { waitingSinceMs: undefined, awaitedSinceMs: undefined, awaitedProgressMs: 0 };

/** When the agent's lease runs out unless it is heard of again, in wall clock milliseconds. */
export function leaseExpireMs({ record, activity, nowMs }: AgentLease): number {
  return activity.lastHeardMs(record, nowMs) + record.leaseMs;
}

/** Whether the agent is registered and its lease runs. */
export function isLiveAgent(lease: AgentLease): boolean {
  return lease.record.isRegistered && leaseExpireMs(lease) > lease.nowMs;
}

/**
 * What an agent is doing, by two clocks: its lease says whether it is there, its progress whether its work moves. Finished work
 * stays finished: COMPLETED and FAILED outlast the lease, because an agent that has done its work is not missing when it leaves.
 * An agent that has nothing to do, and for whom nobody waits, need not make progress.
 */
export function agentState(view: AgentView): AgentState {
  const { record, load } = view;
  if (record.milestone === "completed") return AgentState.COMPLETED;
  if (record.milestone === "failed") return AgentState.FAILED;
  if (load.waitingSinceMs !== undefined) return isWaitStalled(view) ? AgentState.STALLED : AgentState.WAITING;
  if (!isLiveAgent(view)) return AgentState.OFFLINE;
  const isWorking = record.milestone === "starting" || record.progress !== "";
  if (isWorkStalled(view, isWorking)) return AgentState.STALLED;
  return isWorking ? AgentState.BUSY : AgentState.READY;
}

/** Neither it nor anybody it waits for has moved, for too long. */
function isWaitStalled({ record, activity, nowMs, load, limits }: AgentView): boolean {
  const movedMs = Math.max(activity.lastProgressMs(record), load.waitingSinceMs ?? 0, load.awaitedProgressMs);
  return nowMs - movedMs > limits.waitingStallMs;
}

/** It works, or others wait for it, and nothing has moved for too long since. */
function isWorkStalled({ record, activity, nowMs, load, limits }: AgentView, isWorking: boolean): boolean {
  if (!isWorking && load.awaitedSinceMs === undefined) return false;
  const movedMs = Math.max(activity.lastProgressMs(record), record.registerTimeMs);
  const dueSinceMs = isWorking ? movedMs : Math.max(movedMs, load.awaitedSinceMs ?? 0);
  return nowMs - dueSinceMs > limits.busyStallMs;
}

/** The agent as the contract shows it. */
export function agentMessage(coordinationId: string, view: AgentView): Agent {
  const { record, activity, nowMs } = view;
  const progressMs = activity.lastProgressMs(record);
  return create(AgentSchema, {
    agentId: record.agentId,
    coordinationId,
    capabilities: [...record.capabilities],
    state: agentState(view),
    registerTime: timestampFromMs(record.registerTimeMs),
    lastHeartbeatTime: timestampFromMs(activity.lastHeardMs(record, nowMs)),
    ...(progressMs > 0 && { lastProgressTime: timestampFromMs(progressMs) }),
    leaseExpireTime: timestampFromMs(leaseExpireMs(view)),
    metadata: { ...record.metadata },
    provides: record.provides.map((provision) => ({ ...provision })),
    lease: durationFromMs(record.leaseMs),
    progress: record.progress,
  });
}
