import { CoordinationError } from "../../model/coordination-error.js";
import { maxSuggestedCharacters } from "../../model/limits.js";
import type { HiddenValues } from "../../model/transform/hidden-values.js";
import type { WaitRecord } from "../../state/wait-record.js";
import type { ConditionFailure } from "./condition-state.js";
import { failureText } from "./failure-text.js";
import { type PendingConditionView, waitViewOf } from "./wait-graph.js";
import { describeCondition, describeStanding } from "./wait-text.js";
import { agentStanding, type WaitWorld, waitingAgents } from "./wait-world.js";

/** Conditions that an error names, and agents that it names for each: an error's details must fit into HTTP/2 trailers. */
const maxNamedConditions = 8;
const maxNamedAgents = 8;
const maxPathAgents = 32;

/** Says that a condition has failed, which and why, without the values that the server keeps back. */
export function dependencyFailed(
  { conditions }: WaitRecord,
  { failure, conditionIndex }: { readonly failure: ConditionFailure; readonly conditionIndex: number },
  hidden: HiddenValues,
): CoordinationError {
  const { description, metadata } = failureText(failure, hidden);
  const condition = conditions[conditionIndex];
  const what = condition === undefined ? "" : `${describeCondition(condition)} failed: `;
  return new CoordinationError("DEPENDENCY_FAILED", cut(`${what}${description}`), {
    metadata: {
      condition_index: String(conditionIndex),
      ...(condition !== undefined && { condition: cut(describeCondition(condition)) }),
      agent_id: failure.agentId,
      sequence: failure.completion.sequence,
      ...Object.fromEntries(Object.entries(metadata).map(([key, value]) => [key, cut(value)])),
    },
  });
}

/** Says that agents wait for each other, and in which order. */
export function deadlock(path: readonly string[]): CoordinationError {
  const shown = path.length <= maxPathAgents ? path : [...path.slice(0, maxPathAgents - 1), "...", path.at(-1) ?? ""];
  const text = shown.join(" -> ");
  return new CoordinationError("DEADLOCK", `agents wait for each other: ${text}`, {
    metadata: { path: text, agents: [...new Set(shown)].filter((agentId) => agentId !== "...").join(",") },
  });
}

/** Says what is still missing when the time is over, and who could bring it. */
export function waitTimeout(wait: WaitRecord, world: WaitWorld): CoordinationError {
  const { isOrphan, blockedBy, pending } = waitViewOf(world, wait);
  const metadata: Record<string, string> = { orphan: String(isOrphan) };
  if (blockedBy.length > 0) metadata["blocked_by"] = cut(blockedBy.slice(0, maxPathAgents).join(","));
  const missing = pending.slice(0, maxNamedConditions).map((condition, index) => {
    const record = wait.conditions[condition.conditionIndex];
    const what = record === undefined ? "" : describeCondition(record);
    const who = describeProviders(condition, world);
    metadata[`missing_${index}`] = cut(what);
    metadata[`missing_${index}_from`] = cut(condition.agentIds.slice(0, maxNamedAgents).join(","));
    return `${what}, ${who}`;
  });
  metadata["missing_count"] = String(pending.length);
  const waitedMs = Math.max(0, wait.expireTimeMs - wait.startTimeMs);
  return new CoordinationError(
    "WAIT_TIMEOUT",
    cut(
      `waited ${waitedMs} ms, ${pending.length} of ${wait.conditions.length} conditions are not met: ${missing.join("; ")}`,
    ),
    { metadata },
  );
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

function describeProviders({ agentIds, anyone }: PendingConditionView, world: WaitWorld): string {
  if (agentIds.length === 0) return "nobody is there to bring it";
  const waiting = waitingAgents(world);
  const names = agentIds
    .slice(0, maxNamedAgents)
    .map((agentId) => `${agentId} (${describeStanding(agentStanding(world, agentId, waiting))})`);
  const more = agentIds.length > names.length ? ` and ${agentIds.length - names.length} more` : "";
  return `which ${anyone ? "anybody" : "these"} could bring: ${names.join(", ")}${more}`;
}

function cut(text: string): string {
  return text.length <= maxSuggestedCharacters ? text : `${text.slice(0, maxSuggestedCharacters - 3)}...`;
}
