import type { MessageInitShape } from "@bufbuild/protobuf";
import { AgentMilestone, type WaitConditionSchema, WaitMode } from "@coordination-signals/proto/coordination/v1/wait";
import { invalidOption } from "../errors/invalid-option.js";
import { amountRule, checkNumber, countOrNoneRule } from "../options/check-number.js";
import {
  assertKnownOptions,
  type SignalFilterOptions,
  signalFilterFrom,
  signalFilterKeys,
} from "../signals/signal-filter.js";

/** A dependency has to be resolved, by whomever. */
export interface DependencyWait {
  /** The kind of dependency, for example "model". */
  readonly dependencyType: string;
  /** The dependency's name within its kind, for example "UserModel". */
  readonly dependencyId: string;
  /**
   * The agents expected to resolve it. Default: those whose registration `provides` it, or else anybody. Naming them is what
   * lets the server find agents that wait for each other. When all of them have completed with an error, the wait fails.
   */
  readonly expectedFrom?: readonly string[] | undefined;
}

/** An agent has to reach a milestone. */
export interface AgentWait {
  /** The agent; it need not have been seen yet. */
  readonly agentId: string;
  /** What it has to reach. Default "completed". A completion with an error fails the wait. */
  readonly milestone?: "initialized" | "completed" | undefined;
  /** The least quality score, from 0 to 1; a completion below it fails the wait. Only with "completed". */
  readonly minQualityScore?: number | undefined;
}

/** A signal has to come, or to be in history. Every signal counts, whomever it is addressed to. */
export interface SignalWait {
  readonly signal: SignalFilterOptions;
}

/** One thing to wait for. */
export type WaitConditionInit = DependencyWait | AgentWait | SignalWait;

/** How many conditions have to be met. */
export type WaitModeInit = "all" | "any" | { readonly atLeast: number };

/** Makes the contract's condition. Throws InvalidRequestError for one that cannot be understood. */
export function conditionFrom(condition: WaitConditionInit): MessageInitShape<typeof WaitConditionSchema> {
  if ("signal" in condition) {
    assertKnownOptions(condition, ["signal"]);
    assertKnownOptions(condition.signal, signalFilterKeys);
    return { condition: { case: "signal", value: signalFilterFrom(condition.signal) } };
  }
  if ("agentId" in condition) {
    assertKnownOptions(condition, ["agentId", "milestone", "minQualityScore"]);
    const { agentId, milestone = "completed", minQualityScore } = condition;
    checkNumber("minQualityScore", minQualityScore, amountRule);
    const score = minQualityScore === undefined ? {} : { minQualityScore };
    return { condition: { case: "agent", value: { agentId, milestone: milestoneFrom(milestone), ...score } } };
  }
  assertKnownOptions(condition, ["dependencyType", "dependencyId", "expectedFrom"]);
  const { dependencyType, dependencyId, expectedFrom } = condition;
  // An empty list means "anybody" to the server, which is not what a computed list that came out empty means.
  if (expectedFrom?.length === 0) throw invalidOption("expectedFrom is empty, leave it out to expect it from anybody");
  const value = { dependencyType, dependencyId, expectedFrom: [...(expectedFrom ?? [])] };
  return { condition: { case: "dependency", value } };
}

/** Makes the contract's mode. Throws InvalidRequestError. */
export function modeFrom(mode: WaitModeInit): { readonly mode: WaitMode; readonly atLeast: number } {
  if (mode === "all") return { mode: WaitMode.ALL, atLeast: 0 };
  if (mode === "any") return { mode: WaitMode.ANY, atLeast: 0 };
  if (typeof mode === "object" && mode !== null && mode.atLeast !== undefined) {
    assertKnownOptions(mode, ["atLeast"]);
    checkNumber("atLeast", mode.atLeast, countOrNoneRule);
    return { mode: WaitMode.AT_LEAST, atLeast: mode.atLeast };
  }
  throw invalidOption(`mode is ${JSON.stringify(mode)}, known are "all", "any" and { atLeast }`);
}

function milestoneFrom(name: string): AgentMilestone {
  if (name === "completed") return AgentMilestone.COMPLETED;
  if (name === "initialized") return AgentMilestone.INITIALIZED;
  throw invalidOption(`milestone is ${JSON.stringify(name)}, known are "initialized" and "completed"`);
}
