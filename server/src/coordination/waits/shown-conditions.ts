import { type HiddenValues, shownText } from "../../model/transform/hidden-values.js";
import type { WaitConditionRecord } from "../../state/wait-record.js";

/**
 * What others are shown of what somebody waits for. The waiter has named the dependency, but a signal that resolves it says the
 * same: where the server keeps that back, a wait must not tell it to everybody.
 */
export function shownConditions(
  conditions: readonly WaitConditionRecord[],
  { dependencyType, dependencyId }: HiddenValues,
): readonly WaitConditionRecord[] {
  if (!dependencyType && !dependencyId) return conditions;
  return conditions.map((condition) =>
    condition.kind === "dependency"
      ? {
          ...condition,
          dependencyType: shownText(condition.dependencyType, dependencyType),
          dependencyId: shownText(condition.dependencyId, dependencyId),
        }
      : condition,
  );
}
