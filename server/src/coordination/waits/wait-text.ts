import type { WaitConditionRecord } from "../../state/wait-record.js";
import type { AgentStanding } from "./wait-world.js";

/** Says in words what a condition is about. */
export function describeCondition(condition: WaitConditionRecord): string {
  switch (condition.kind) {
    case "dependency":
      return `dependency ${condition.dependencyType} "${condition.dependencyId}"`;
    case "agent": {
      const score =
        condition.minQualityScore === undefined ? "" : ` with quality ${condition.minQualityScore} or better`;
      return `agent "${condition.agentId}" ${condition.milestone}${score}`;
    }
    case "signal":
      if (condition.replyTo !== undefined) return `a reply to signal ${condition.replyTo}`;
      return condition.senders.length === 0
        ? "a signal that matches"
        : `a signal from ${condition.senders.join(" or ")}`;
  }
}

const standings: Readonly<Record<AgentStanding, string>> = {
  waiting: "waiting",
  live: "alive",
  offline: "offline",
  completed: "completed",
  failed: "failed",
  unregistered: "not registered",
};

/** Says in words what an agent can be expected to do. */
export function describeStanding(standing: AgentStanding): string {
  return standings[standing];
}
