import { create } from "@bufbuild/protobuf";
import { AgentState } from "@coordination-signals/proto/coordination/v1/agent";
import {
  type GetWaitGraphResponse,
  GetWaitGraphResponseSchema,
  GraphFormat,
} from "@coordination-signals/proto/coordination/v1/coordination_service";
import type { WaitEdge, WaitGraphAgent } from "@coordination-signals/proto/coordination/v1/wait";
import { WaitEdgeSchema, WaitGraphAgentSchema } from "@coordination-signals/proto/coordination/v1/wait";
import type { WaitGraph, WaitView } from "../coordination/waits/wait-graph.js";
import { type AgentView, agentState } from "../registry/agent-state.js";
import { dotText, mermaidText } from "./wait-graph-text.js";
import { openWaitMessage } from "./wait-message.js";

const maxWaits = 1_000;
const maxAgents = 1_000;
const maxEdges = 10_000;

/** The wait graph as the contract shows it. */
export function waitGraphMessage(
  { graph, agents }: { readonly graph: WaitGraph; readonly agents: readonly AgentView[] },
  format: GraphFormat,
): GetWaitGraphResponse {
  const states = new Map(agents.map((view) => [view.record.agentId, agentState(view)]));
  const waits = graph.waits.slice(0, maxWaits);
  const edges = waits.flatMap(edgesOf).slice(0, maxEdges);
  const message = create(GetWaitGraphResponseSchema, {
    waits: waits.map(openWaitMessage),
    edges,
    agents: agentsOf(waits, edges, states),
    loops: graph.loops.map((agentIds) => ({ agentIds: [...agentIds] })),
    waitCount: BigInt(graph.waits.length),
  });
  if (format === GraphFormat.MERMAID) message.text = mermaidText(message);
  if (format === GraphFormat.DOT) message.text = dotText(message);
  return message;
}

/** Only those who are named: a wait that anybody can end would be drawn as a wait for everybody. */
function edgesOf({ record, pending }: WaitView): WaitEdge[] {
  return pending.flatMap(({ conditionIndex, agentIds, anyone }) =>
    (anyone ? [] : agentIds).map((toAgentId) =>
      create(WaitEdgeSchema, { fromAgentId: record.agentId, toAgentId, waitId: record.waitId, conditionIndex }),
    ),
  );
}

function agentsOf(
  waits: readonly WaitView[],
  edges: readonly WaitEdge[],
  states: ReadonlyMap<string, AgentState>,
): WaitGraphAgent[] {
  const names = new Set(waits.map(({ record }) => record.agentId));
  for (const { toAgentId } of edges) names.add(toAgentId);
  return [...names]
    .sort()
    .slice(0, maxAgents)
    .map((agentId) => create(WaitGraphAgentSchema, { agentId, state: states.get(agentId) ?? AgentState.UNSPECIFIED }));
}
