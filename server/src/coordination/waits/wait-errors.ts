import { CoordinationError } from "../../model/coordination-error.js";
import { cutTextToBytes } from "../../model/cut-text.js";
import { ErrorMetadata } from "../../model/error-metadata.js";
import { maxErrorMessageBytes, maxErrorMetadataBytes } from "../../model/limits.js";
import type { HiddenValues } from "../../model/transform/hidden-values.js";
import type { WaitRecord } from "../../state/wait-record.js";
import { type ConditionFailure, conditionStates } from "./condition-state.js";
import { failureText } from "./failure-text.js";
import { type PendingConditionView, waitViewOf } from "./wait-graph.js";
import { describeCondition, describeStanding } from "./wait-text.js";
import { agentStanding, type WaitWorld, waitingAgents } from "./wait-world.js";

/** Conditions that an error names at the most, and agents that it names for each: nobody reads more of them. */
const maxNamedConditions = 8;
const maxNamedAgents = 8;
const maxBlockers = 32;
/** Bytes of a loop's path: what an error has room for, less how many agents are left out. */
const maxPathBytes = maxErrorMetadataBytes - 100;
const pathArrow = " -> ";
/** Stands in a path for agents that are left out. No agent has such a name. */
const pathGap = "...";

/** Says that a condition has failed, which and why, without the values that the server keeps back. */
export function dependencyFailed(
  { conditions }: WaitRecord,
  { failure, conditionIndex }: { readonly failure: ConditionFailure; readonly conditionIndex: number },
  hidden: HiddenValues,
): CoordinationError {
  const reason = failureText(failure, hidden);
  const condition = conditions[conditionIndex];
  const metadata = new ErrorMetadata();
  metadata.add("condition_index", String(conditionIndex));
  metadata.add("agent_id", failure.agentId);
  metadata.add("sequence", failure.completion.sequence);
  for (const [key, value] of Object.entries(reason.metadata)) metadata.addText(key, value);
  if (condition !== undefined) metadata.addText("condition", describeCondition(condition));
  return errorOf("DEPENDENCY_FAILED", reason.description, metadata);
}

/** Says that agents wait for each other, and in which order. A path that is too long lacks agents before its last one. */
export function deadlock(path: readonly string[]): CoordinationError {
  const metadata = new ErrorMetadata();
  const shown = shownPath(path);
  const omitted = path.length - shown.length;
  const parts = omitted === 0 ? shown : [...shown.slice(0, -1), pathGap, ...shown.slice(-1)];
  const text = parts.join(pathArrow);
  metadata.add("path", text);
  if (omitted > 0) metadata.add("omitted_agents", String(omitted));
  // They are in the path as well, which is worth more.
  metadata.add("agents", [...new Set(shown)].join(","));
  return errorOf("DEADLOCK", `agents wait for each other: ${text}`, metadata);
}

/** Says what is still missing when the time is over, who could bring it, and what has failed, without the values that are kept back. */
export function waitTimeout(wait: WaitRecord, world: WaitWorld, hidden: HiddenValues): CoordinationError {
  const { isOrphan, blockedBy, pending } = waitViewOf(world, wait);
  const failed = failuresOf(wait, world);
  const metadata = new ErrorMetadata();
  metadata.add("orphan", String(isOrphan));
  metadata.add("missing_count", String(pending.length));
  if (failed.length > 0) metadata.add("failed_count", String(failed.length));
  if (blockedBy.length > 0) metadata.addNames("blocked_by", blockedBy, maxBlockers);
  const missing = pending.slice(0, maxNamedConditions).map((condition, index) => {
    const record = wait.conditions[condition.conditionIndex];
    const what = record === undefined ? "" : describeCondition(record);
    if (metadata.addText(`missing_${index}`, what)) {
      metadata.addNames(`missing_${index}_from`, condition.agentIds, maxNamedAgents);
    }
    return `${what}, ${describeProviders(condition, world)}`;
  });
  const failures = failed.slice(0, maxNamedConditions).map((failure) => failureText(failure, hidden).description);
  const waitedMs = Math.max(0, wait.expireTimeMs - wait.startTimeMs);
  const count = `${pending.length + failed.length} of ${wait.conditions.length} conditions are not met`;
  const text = [...missing, ...failures].join("; ");
  return errorOf("WAIT_TIMEOUT", `waited ${waitedMs} ms, ${count}: ${text}`, metadata);
}

/** Says that no more waits can be open. */
export function tooManyWaits(scope: string, limit: number): CoordinationError {
  return new CoordinationError("TOO_MANY_WAITS", `${limit} waits are open ${scope}, which is the limit`, {
    metadata: { limit: String(limit) },
  });
}

/** Says that the server stops while somebody waits. */
export function waitInterrupted(): CoordinationError {
  return new CoordinationError("SHUTTING_DOWN", "the server is shutting down: ask again, history answers", {
    retryDelayMs: 100,
  });
}

/** Says that what somebody waits in was removed. */
export function waitDeleted(coordinationId: string): CoordinationError {
  return new CoordinationError("COORDINATION_NOT_FOUND", `coordination "${coordinationId}" was deleted`, {
    metadata: { coordination_id: coordinationId },
  });
}

function failuresOf(wait: WaitRecord, world: WaitWorld): readonly ConditionFailure[] {
  return conditionStates(wait, world).flatMap((state) => (state.is === "failed" ? state.failure : []));
}

function describeProviders({ agentIds, anyone }: PendingConditionView, world: WaitWorld): string {
  if (agentIds.length === 0) return "nobody is there to bring it";
  const waiting = waitingAgents(world);
  const names = agentIds
    .slice(0, maxNamedAgents)
    .map((agentId) => `${agentId} (${describeStanding(agentStanding(world, agentId, waiting))})`);
  const more = agentIds.length > names.length ? ` and ${agentIds.length - names.length} more` : "";
  return `which ${anyone ? "anybody" : "these"} could bring: ${names.join(", ")}${more}`;
}

/** A path if there is room for it; else as many of its agents, from the first one, as there is, and the last one, which closes the loop. */
function shownPath(path: readonly string[]): readonly string[] {
  const lengthOf = (agentId: string) => agentId.length + pathArrow.length;
  if (path.reduce((sum, agentId) => sum + lengthOf(agentId), 0) <= maxPathBytes) return path;
  const last = path.slice(-1);
  let room = maxPathBytes - lengthOf(pathGap) - lengthOf(last.join());
  const end = path.findIndex((agentId) => {
    room -= lengthOf(agentId);
    return room < 0;
  });
  return [...path.slice(0, end), ...last];
}

function errorOf(
  reason: "DEPENDENCY_FAILED" | "DEADLOCK" | "WAIT_TIMEOUT",
  message: string,
  { facts }: ErrorMetadata,
): CoordinationError {
  return new CoordinationError(reason, cutTextToBytes(message, maxErrorMessageBytes), { metadata: facts });
}
