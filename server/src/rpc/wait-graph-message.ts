import { create } from "@bufbuild/protobuf";
import { AgentState } from "@coordination-signals/proto/coordination/v1/agent";
import {
  type GetWaitGraphResponse,
  GetWaitGraphResponseSchema,
  GraphFormat,
} from "@coordination-signals/proto/coordination/v1/coordination_service";
import {
  type WaitEdge,
  WaitEdgeSchema,
  type WaitGraphAgent,
  WaitGraphAgentSchema,
  type WaitLoop,
  WaitLoopSchema,
} from "@coordination-signals/proto/coordination/v1/wait";
import type { WaitGraph, WaitView } from "../coordination/waits/wait-graph.js";
import { maxListBytes } from "../model/limits.js";
import { type AgentView, agentState } from "../registry/agent-state.js";
import { cutToBytes } from "./cut-to-bytes.js";
import { dotText, mermaidText } from "./wait-graph-text.js";
import { openWaitMessages } from "./wait-message.js";

const maxAgents = 1_000;

/** The wait graph as the contract shows it: as much, from the oldest wait, as fits. */
export function waitGraphMessage(
  { graph, agents }: { readonly graph: WaitGraph; readonly agents: readonly AgentView[] },
  format: GraphFormat,
): GetWaitGraphResponse {
  const states = new Map(agents.map((view) => [view.record.agentId, agentState(view)]));
  const waits = openWaitMessages(graph.waits);
  const listed = graph.waits.slice(0, waits.length);
  const maxBytes = maxListBytes;
  const edges = cutToBytes(WaitEdgeSchema, edgesOf(listed), { messageOf: (edge) => edge, maxBytes });
  const message = create(GetWaitGraphResponseSchema, {
    waits,
    edges,
    agents: agentsOf(listed, edges, states),
    loops: cutToBytes(WaitLoopSchema, graph.loops, { messageOf: loopMessage, maxBytes }),
    waitCount: BigInt(graph.waits.length),
  });
  if (format === GraphFormat.MERMAID) message.text = mermaidText(message);
  if (format === GraphFormat.DOT) message.text = dotText(message);
  return message;
}

/** Only those who are named: a wait that anybody can end would be drawn as a wait for everybody. */
function* edgesOf(waits: readonly WaitView[]): Iterable<WaitEdge> {
  for (const { record, pending } of waits) {
    for (const { conditionIndex, agentIds, anyone } of pending) {
      if (anyone) continue;
      const ends = { fromAgentId: record.agentId, waitId: record.waitId, conditionIndex };
      for (const toAgentId of agentIds) yield create(WaitEdgeSchema, { ...ends, toAgentId });
    }
  }
}

function loopMessage(agentIds: readonly string[]): WaitLoop {
  return create(WaitLoopSchema, { agentIds: [...agentIds] });
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
