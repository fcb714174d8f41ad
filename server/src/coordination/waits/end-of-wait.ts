import { CoordinationError, type Reason } from "../../model/coordination-error.js";
import { maxEndedWaitBytes } from "../../model/limits.js";
import type { EndedWaitRecord, WaitOutcome } from "../../state/ended-wait.js";
import type { WaitConditionRecord, WaitRecord } from "../../state/wait-record.js";
import type { ConditionState } from "./condition-state.js";

const maxNamedAgents = 10;

const outcomes: Partial<Readonly<Record<Reason, WaitOutcome>>> = {
  DEPENDENCY_FAILED: "failed",
  DEADLOCK: "deadlock",
  WAIT_TIMEOUT: "timedOut",
  REQUEST_TIMEOUT: "timedOut",
  COORDINATION_CLOSED: "closed",
};

/** What is kept of a wait that has ended; `error` is undefined when it ended well. */
export function endedWait({
  wait,
  states,
  error,
  nowMs,
}: {
  readonly wait: WaitRecord;
  readonly states: readonly ConditionState[];
  readonly error: unknown;
  readonly nowMs: number;
}): EndedWaitRecord {
  const { waitId, agentId, mode, needed, independent, startTimeMs } = wait;
  const outcome = error === undefined ? "satisfied" : outcomeOf(error);
  const conditions = keptConditions(wait.conditions);
  return {
    waitId,
    agentId,
    mode,
    needed,
    independent,
    startTimeMs,
    // A clock that steps back makes no wait end before it began.
    endTimeMs: Math.max(startTimeMs, nowMs),
    conditions,
    conditionCount: wait.conditions.length,
    outcome,
    sequences: sequencesOf(states.slice(0, conditions.length)),
    endSequence: outcome === "satisfied" ? decisiveSequence(states, needed) : failedSequence(error),
  };
}

function outcomeOf(error: unknown): WaitOutcome {
  // What is not the server's own word is the caller's: its deadline passed, or it left.
  if (!(error instanceof CoordinationError)) return "cancelled";
  return outcomes[error.reason] ?? "interrupted";
}

/** Without their filters, which can be large and say nothing to people. */
function keptConditions(conditions: readonly WaitConditionRecord[]): readonly WaitConditionRecord[] {
  const [only] = conditions;
  if (only !== undefined && conditions.length === 1) return [withoutBulk(only)];
  const kept: WaitConditionRecord[] = [];
  let bytes = 0;
  for (const condition of conditions) {
    const record = withoutBulk(condition);
    bytes += Buffer.byteLength(JSON.stringify(record));
    if (bytes > maxEndedWaitBytes && kept.length > 0) break;
    kept.push(record);
  }
  return kept;
}

function withoutBulk(condition: WaitConditionRecord): WaitConditionRecord {
  switch (condition.kind) {
    case "dependency":
      if (condition.expectedFrom.length <= maxNamedAgents) return condition;
      return { ...condition, expectedFrom: condition.expectedFrom.slice(0, maxNamedAgents) };
    case "signal":
      return { ...condition, filter: "", senders: condition.senders.slice(0, maxNamedAgents) };
    case "agent":
      return condition;
  }
}

function sequencesOf(states: readonly ConditionState[]): Readonly<Record<string, string>> {
  const met: Record<string, string> = {};
  for (let index = 0; index < states.length; index++) {
    const state = states[index];
    if (state?.is === "satisfied") met[index] = String(state.sequence);
  }
  return met;
}

/** The signal with which the last condition was met that was needed. */
function decisiveSequence(states: readonly ConditionState[], needed: number): string | undefined {
  const sequences: bigint[] = [];
  for (const state of states) if (state.is === "satisfied") sequences.push(state.sequence);
  const decisive = sequences.sort((a, b) => (a < b ? -1 : 1))[needed - 1];
  return decisive === undefined ? undefined : String(decisive);
}

function failedSequence(error: unknown): string | undefined {
  if (!(error instanceof CoordinationError) || error.reason !== "DEPENDENCY_FAILED") return undefined;
  return error.metadata["sequence"];
}
