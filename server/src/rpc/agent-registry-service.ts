import type { ServiceImpl } from "@connectrpc/connect";
import {
  type AgentRegistryService,
  type ListAgentsRequest,
  ListAgentsRequestSchema,
} from "@coordination-signals/proto/coordination/v1/agent_registry_service";
import { defaultLeaseMs } from "../model/limits.js";
import { agentState } from "../registry/agent-state.js";
import { decodePageToken, encodePageToken, listingOf } from "./page-token.js";
import { pageSizeOf, spanMs } from "./request-fields.js";
import type { ServiceDependencies } from "./service-dependencies.js";
import { shownAgent } from "./shown-state.js";

/** Serves `AgentRegistryService`. */
export function agentRegistryService({
  coordinator,
}: ServiceDependencies): Partial<ServiceImpl<typeof AgentRegistryService>> {
  return {
    async registerAgent({ coordinationId, agentId, capabilities, provides, metadata, lease }) {
      const view = await coordinator.agents.register(coordinationId, {
        agentId,
        capabilities,
        provides: provides.map(({ dependencyType, dependencyId }) => ({ dependencyType, dependencyId })),
        metadata,
        leaseMs: spanMs(lease, defaultLeaseMs),
      });
      return { agent: shownAgent(coordinationId, view, coordinator.hidden) };
    },
    async heartbeatAgent({ coordinationId, agentId, progress }) {
      const view = await coordinator.agents.heartbeat(coordinationId, agentId, progress);
      return { agent: shownAgent(coordinationId, view, coordinator.hidden) };
    },
    async deregisterAgent({ coordinationId, agentId }) {
      await coordinator.agents.deregister(coordinationId, agentId);
      return {};
    },
    async getAgent({ coordinationId, agentId }) {
      const view = await coordinator.agents.get(coordinationId, agentId);
      return { agent: shownAgent(coordinationId, view, coordinator.hidden) };
    },
    listAgents: (request) => listAgents(coordinator, request),
  };
}

function listAgents(coordinator: ServiceDependencies["coordinator"], request: ListAgentsRequest) {
  const listing = listingOf(ListAgentsRequestSchema, request);
  const [after = ""] = decodePageToken(request.pageToken, listing, 1) ?? [];
  const pageSize = pageSizeOf(request.pageSize);
  return coordinator.look(request.coordinationId, ({ session }) => {
    const wanted = coordinator.agents
      .of(session)
      .filter((view) => view.record.agentId > after)
      .filter((view) => request.states.length === 0 || request.states.includes(agentState(view)));
    const page = wanted.slice(0, pageSize);
    const last = page.at(-1)?.record.agentId ?? "";
    return {
      agents: page.map((view) => shownAgent(request.coordinationId, view, coordinator.hidden)),
      nextPageToken: wanted.length > pageSize ? encodePageToken(listing, [last]) : "",
    };
  });
}
