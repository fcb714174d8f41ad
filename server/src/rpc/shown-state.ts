import type { Agent } from "@coordination-signals/proto/coordination/v1/agent";
import type { Dependency } from "@coordination-signals/proto/coordination/v1/coordination";
import type { Snapshot } from "@coordination-signals/proto/coordination/v1/state_service";
import { defaultRedaction } from "../model/limits.js";
import { type HiddenValues, shownText } from "../model/transform/hidden-values.js";
import { type AgentView, agentMessage } from "../registry/agent-state.js";
import type { DependencyRecord } from "../state/dependency-record.js";
import { dependencyMessage } from "./coordination-message.js";

/** An agent as it may be shown. */
export function shownAgent(coordinationId: string, view: AgentView, hidden: HiddenValues): Agent {
  const agent = agentMessage(coordinationId, view);
  hideInAgent(agent, hidden);
  return agent;
}

/** A resolved dependency as it may be shown. */
export function shownDependency(record: DependencyRecord, hidden: HiddenValues): Dependency {
  const dependency = dependencyMessage(record);
  hideInDependency(dependency, hidden);
  return dependency;
}

/** Takes out of a snapshot what may not be shown. It is kept whole, and may be older than the server's transform. */
export function hideInSnapshot({ agents, dependencies }: Snapshot, hidden: HiddenValues): void {
  for (const agent of agents) hideInAgent(agent, hidden);
  for (const dependency of dependencies) hideInDependency(dependency, hidden);
}

/** Nobody knows any more whether a signal or a registration has said what the agent can do: it is kept back either way. */
function hideInAgent(agent: Agent, { capabilities, dependencyType, dependencyId }: HiddenValues): void {
  if (capabilities) agent.capabilities = [defaultRedaction];
  for (const provision of agent.provides) {
    provision.dependencyType = shownText(provision.dependencyType, dependencyType);
    provision.dependencyId = shownText(provision.dependencyId, dependencyId);
  }
}

function hideInDependency(dependency: Dependency, { dependencyType, dependencyId, resolvedBy }: HiddenValues): void {
  dependency.dependencyType = shownText(dependency.dependencyType, dependencyType);
  dependency.dependencyId = shownText(dependency.dependencyId, dependencyId);
  dependency.resolvedBy = shownText(dependency.resolvedBy, resolvedBy);
}
