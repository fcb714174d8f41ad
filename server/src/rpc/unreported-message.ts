import { create } from "@bufbuild/protobuf";
import { AgentState } from "@coordination-signals/proto/coordination/v1/agent";
import {
  type UnreportedAgent as UnreportedAgentMessage,
  UnreportedAgentSchema,
  UnreportedKind,
} from "@coordination-signals/proto/coordination/v1/coordination_service";
import type { UnreportedAgent } from "../coordination/waits/unreported-agents.js";
import { maxListBytes } from "../model/limits.js";
import { type AgentView, agentState } from "../registry/agent-state.js";
import { cutToBytes } from "./cut-to-bytes.js";

const maxNamedAgents = 100;

const kinds: Readonly<Record<UnreportedAgent["kind"], UnreportedKind>> = {
  neverSeen: UnreportedKind.NEVER_SEEN,
  silent: UnreportedKind.SILENT,
  unfinished: UnreportedKind.UNFINISHED,
};

/** Agents that have not reported, as the contract shows them: as many as fit beside other lists. */
export function unreportedMessages(
  unreported: readonly UnreportedAgent[],
  registered: readonly AgentView[],
): UnreportedAgentMessage[] {
  const states = new Map(registered.map((view) => [view.record.agentId, agentState(view)]));
  return cutToBytes(UnreportedAgentSchema, unreported, {
    messageOf: ({ agentId, kind, awaitedBy }) =>
      create(UnreportedAgentSchema, {
        agentId,
        kind: kinds[kind],
        state: states.get(agentId) ?? AgentState.UNSPECIFIED,
        awaitedBy: awaitedBy.slice(0, maxNamedAgents),
      }),
    maxBytes: maxListBytes,
  });
}
