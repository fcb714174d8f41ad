import { type HiddenValues, shownText } from "../../model/transform/hidden-values.js";
import type { ConditionFailure } from "./condition-state.js";

/** What has happened, for people and for programs. */
export interface FailureText {
  readonly description: string;
  readonly metadata: Readonly<Record<string, string>>;
}

/**
 * Says why a condition has failed, without the values that the server keeps back. What the condition itself says is the word of
 * the one who waits, and nobody else is told.
 */
export function failureText({ condition, agentId, completion }: ConditionFailure, hidden: HiddenValues): FailureText {
  const error = completion.error === undefined ? undefined : shownText(completion.error, hidden.error);
  if (condition.kind === "dependency") {
    const { dependencyType, dependencyId } = condition;
    const what = `expected to resolve ${dependencyType} "${dependencyId}"`;
    return {
      description: `agent "${agentId}", ${what}, completed with an error: ${error ?? ""}`,
      metadata: { dependency_type: dependencyType, dependency_id: dependencyId, error: error ?? "" },
    };
  }
  if (error !== undefined) {
    return { description: `agent "${agentId}" completed with an error: ${error}`, metadata: { error } };
  }
  const least = String(condition.minQualityScore ?? "");
  // Whether there was a score at all is kept back with it.
  const score = shownText(String(completion.qualityScore ?? ""), hidden.qualityScore);
  const scored = score === "" ? "without a quality_score" : `with quality_score ${score}`;
  return {
    description: `agent "${agentId}" completed ${scored}, at least ${least} is asked for`,
    metadata: { quality_score: score, min_quality_score: least },
  };
}
