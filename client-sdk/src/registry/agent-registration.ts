import { create } from "@bufbuild/protobuf";
import type { Client } from "@connectrpc/connect";
import { type Agent, AgentState, type Provision } from "@coordination-signals/proto/coordination/v1/agent";
import {
  type AgentRegistryService,
  RegisterAgentRequestSchema,
} from "@coordination-signals/proto/coordination/v1/agent_registry_service";
import type { Caller, CallOptions } from "../calls/caller.js";
import { remove } from "../calls/remove.js";
import { InternalError } from "../errors/coordination-client-error.js";
import { spanFrom } from "../options/span-from.js";
import { readPages } from "../read-pages.js";
import type { HeartbeatStatus } from "./heartbeat-timer.js";

/** Something an agent can bring about. */
export type ProvisionInit = Pick<Provision, "dependencyType" | "dependencyId">;

/** How an agent registers. */
export interface RegisterOptions extends CallOptions {
  /** What it can do. At most 128. */
  readonly capabilities?: readonly string[] | undefined;
  /** The dependencies it may resolve; types and ids can be globs with `*` and `?`. At most 100. */
  readonly provides?: readonly ProvisionInit[] | undefined;
  /** Free key-value pairs. At most 64. */
  readonly metadata?: Readonly<Record<string, string>> | undefined;
  /** How long it counts as alive after it was last heard of, in milliseconds, from 100 to 24 hours. Default 60,000. */
  readonly leaseMs?: number | undefined;
  /** Whether to send heartbeats until the session is closed, one each third of the lease. Default true. */
  readonly heartbeat?: boolean | undefined;
  /** Called with what becomes of each automatic heartbeat. `session.heartbeatStatus` holds the last one. */
  readonly onHeartbeat?: ((status: HeartbeatStatus) => void) | undefined;
}

/** What an agent is doing. */
export type AgentStateName = "ready" | "busy" | "waiting" | "stalled" | "completed" | "failed" | "offline";

/** Which agents to list. */
export interface ListAgentsOptions extends CallOptions {
  /** Agents in any of these states. Default: all. */
  readonly states?: readonly AgentStateName[] | undefined;
}

/** What the registry is called with. */
export interface RegistryEnvironment {
  readonly client: Client<typeof AgentRegistryService>;
  readonly caller: Caller;
  readonly coordinationId: string;
}

/** Agents in one page of a list. */
const listPageSize = 1_000;

const agentStates: Readonly<Record<AgentStateName, AgentState>> = {
  ready: AgentState.READY,
  busy: AgentState.BUSY,
  waiting: AgentState.WAITING,
  stalled: AgentState.STALLED,
  completed: AgentState.COMPLETED,
  failed: AgentState.FAILED,
  offline: AgentState.OFFLINE,
};

/** Registers an agent, or renews its registration. */
export async function registerAgent(
  { client, caller, coordinationId }: RegistryEnvironment,
  agentId: string,
  options: RegisterOptions,
): Promise<Agent> {
  const request = create(RegisterAgentRequestSchema, {
    coordinationId,
    agentId,
    capabilities: [...(options.capabilities ?? [])],
    provides: (options.provides ?? []).map(({ dependencyType, dependencyId }) => ({ dependencyType, dependencyId })),
    metadata: { ...options.metadata },
    ...(options.leaseMs !== undefined && { lease: spanFrom("leaseMs", options.leaseMs) }),
  });
  const { agent } = await caller.call((attempt) => client.registerAgent(request, attempt), options);
  return present(agent);
}

/** Renews an agent's lease; progress says that its work has moved. */
export async function heartbeatAgent(
  { client, caller, coordinationId }: RegistryEnvironment,
  agentId: string,
  options: CallOptions & { readonly progress: string },
): Promise<Agent> {
  const request = { coordinationId, agentId, progress: options.progress };
  const { agent } = await caller.call((attempt) => client.heartbeatAgent(request, attempt), options);
  return present(agent);
}

/** Ends an agent's registration. */
export async function deregisterAgent(
  { client, caller, coordinationId }: RegistryEnvironment,
  agentId: string,
  options: CallOptions,
): Promise<void> {
  await remove(caller, (attempt) => client.deregisterAgent({ coordinationId, agentId }, attempt), options);
}

/** Reads one agent. */
export async function getAgent(
  { client, caller, coordinationId }: RegistryEnvironment,
  agentId: string,
  options: CallOptions,
): Promise<Agent> {
  const { agent } = await caller.call((attempt) => client.getAgent({ coordinationId, agentId }, attempt), options);
  return present(agent);
}

/** Reads a coordination's agents, by name. A coordination knows a bounded number of them. */
export async function listAgents(
  { client, caller, coordinationId }: RegistryEnvironment,
  options: ListAgentsOptions,
): Promise<readonly Agent[]> {
  const states = (options.states ?? []).map((state) => agentStates[state]);
  const agents: Agent[] = [];
  const pages = readPages(async (pageToken) => {
    const request = { coordinationId, pageToken, pageSize: listPageSize, states };
    const response = await caller.call((attempt) => client.listAgents(request, attempt), options);
    return { agents: response.agents, nextPageToken: response.nextPageToken || undefined };
  });
  for await (const page of pages) agents.push(...page.agents);
  return agents;
}

function present(agent: Agent | undefined): Agent {
  if (agent !== undefined) return agent;
  throw new InternalError({ message: "the answer has no agent", reason: "UNEXPECTED_RESPONSE", code: "INTERNAL" });
}
