import type { AgentRecord, CompletionRecord } from "../../state/agent-record.js";
import { type DependencyRecord, dependencyKey } from "../../state/dependency-record.js";
import type {
  AgentConditionRecord,
  DependencyConditionRecord,
  WaitConditionRecord,
  WaitRecord,
} from "../../state/wait-record.js";

/** What conditions are judged by: what is known of agents and dependencies, whatever has left the history. */
export interface WaitFacts {
  agent(agentId: string): AgentRecord | undefined;
  dependency(key: string): DependencyRecord | undefined;
}

/** Why a condition cannot be met as things are: an agent has completed otherwise than it asks for. */
export interface ConditionFailure {
  readonly condition: DependencyConditionRecord | AgentConditionRecord;
  /** The agent that has failed. */
  readonly agentId: string;
  /** How it did; not to be shown as it is. */
  readonly completion: CompletionRecord;
}

/** Whether a condition is met. */
export type ConditionState =
  | { readonly is: "satisfied"; readonly sequence: bigint }
  | { readonly is: "failed"; readonly failure: ConditionFailure }
  | { readonly is: "pending" };

/** How a wait stands: it can end well, has to end badly, or goes on. */
export type WaitState =
  | { readonly is: "satisfied" }
  | { readonly is: "failed"; readonly failure: ConditionFailure; readonly conditionIndex: number }
  | { readonly is: "pending" };

const pending = { is: "pending" } as const;
const satisfiedWait: WaitState = { is: "satisfied" };

/** Judges the conditions of a wait; signals by what is known to have matched. */
export function conditionStates(wait: Pick<WaitRecord, "conditions" | "matched">, facts: WaitFacts): ConditionState[] {
  return wait.conditions.map((condition, index) => conditionState(condition, wait.matched[index], facts));
}

/** Judges a wait by its conditions. It has failed only when too few of them are left that can still be met. */
export function waitState({ needed }: Pick<WaitRecord, "needed">, states: readonly ConditionState[]): WaitState {
  let satisfied = 0;
  let open = 0;
  for (const { is } of states) {
    if (is === "satisfied") satisfied += 1;
    else if (is === "pending") open += 1;
  }
  if (satisfied >= needed) return satisfiedWait;
  if (satisfied + open >= needed) return pending;
  for (const [conditionIndex, state] of states.entries()) {
    if (state.is === "failed") return { is: "failed", failure: state.failure, conditionIndex };
  }
  return pending;
}

function conditionState(
  condition: WaitConditionRecord,
  matchedSequence: string | undefined,
  facts: WaitFacts,
): ConditionState {
  switch (condition.kind) {
    case "dependency":
      return dependencyState(condition, facts);
    case "agent":
      return agentConditionState(condition, facts.agent(condition.agentId));
    case "signal":
      return matchedSequence === undefined ? pending : satisfied(matchedSequence);
  }
}

/** Whoever resolved it: it is there. It fails when all who were expected to resolve it have said that they failed. */
function dependencyState(condition: DependencyConditionRecord, facts: WaitFacts): ConditionState {
  const { dependencyType, dependencyId, expectedFrom } = condition;
  const resolved = facts.dependency(dependencyKey(dependencyType, dependencyId));
  if (resolved !== undefined) return satisfied(resolved.sequence);
  let failure: ConditionFailure | undefined;
  for (const agentId of expectedFrom) {
    const completion = facts.agent(agentId)?.completion;
    if (completion?.error === undefined) return pending;
    failure ??= { condition, agentId, completion };
  }
  return failure === undefined ? pending : { is: "failed", failure };
}

function agentConditionState(condition: AgentConditionRecord, agent: AgentRecord | undefined): ConditionState {
  if (condition.milestone === "initialized") {
    return agent?.initializedSequence === undefined ? pending : satisfied(agent.initializedSequence);
  }
  const completion = agent?.completion;
  if (completion === undefined) return pending;
  const { agentId, minQualityScore } = condition;
  const { error, qualityScore } = completion;
  const isTooPoor = minQualityScore !== undefined && (qualityScore === undefined || qualityScore < minQualityScore);
  if (error !== undefined || isTooPoor) return { is: "failed", failure: { condition, agentId, completion } };
  return satisfied(completion.sequence);
}

function satisfied(sequence: string): ConditionState {
  return { is: "satisfied", sequence: BigInt(sequence) };
}
