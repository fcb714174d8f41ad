import type { Duration } from "@bufbuild/protobuf/wkt";
import type { WaitForRequest } from "@coordination-signals/proto/coordination/v1/coordination_service";
import type { WaitCondition } from "@coordination-signals/proto/coordination/v1/wait";
import { areIds, isId, isName } from "./plain-names.js";

/*
 * As `isPlainSend`, for requests to wait: the validator takes several times as long as all that is done to begin a wait, and agents wait
 * once for each thing that they need. Invariant: it is never more lenient than the rules.
 */

const maxConditions = 100;
const maxExpected = 100;
const maxMode = 3;
const maxMilestone = 2;
const maxSeconds = 3_600n;
const minNanos = 1_000_000;
const maxNanos = 999_999_999;

/** Whether a request keeps every rule of the contract for certain. False says that it has to be looked at closely. */
export function isPlainWait(request: WaitForRequest): boolean {
  const { conditions, mode, atLeast, timeout } = request;
  return (
    request.$unknown === undefined &&
    isId(request.coordinationId) &&
    isId(request.agentId) &&
    conditions.length > 0 &&
    conditions.length <= maxConditions &&
    conditions.every(isCondition) &&
    mode >= 0 &&
    mode <= maxMode &&
    atLeast <= maxConditions &&
    (timeout === undefined || isTimeout(timeout))
  );
}

function isCondition({ condition, $unknown }: WaitCondition): boolean {
  if ($unknown !== undefined || condition.case === undefined || condition.value.$unknown !== undefined) return false;
  switch (condition.case) {
    case "dependency": {
      const { dependencyType, dependencyId, expectedFrom } = condition.value;
      return isId(dependencyType) && isName(dependencyId) && areIds(expectedFrom, maxExpected);
    }
    case "agent": {
      const { agentId, milestone, minQualityScore: score } = condition.value;
      if (score !== undefined && !(score >= 0 && score <= 1)) return false;
      return isId(agentId) && milestone >= 0 && milestone <= maxMilestone;
    }
    case "signal":
      // A filter has many rules, and is compiled besides.
      return false;
  }
}

function isTimeout({ seconds, nanos, $unknown }: Duration): boolean {
  if ($unknown !== undefined || nanos < 0 || nanos > maxNanos) return false;
  return seconds >= 0n && seconds < maxSeconds && (seconds > 0n || nanos >= minNanos);
}
