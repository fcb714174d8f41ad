import { create } from "@bufbuild/protobuf";
import { timestampFromMs } from "@bufbuild/protobuf/wkt";
import { AgentSchema } from "@coordination-signals/proto/coordination/v1/agent";
import { DependencySchema } from "@coordination-signals/proto/coordination/v1/coordination";
import { type Snapshot, SnapshotSchema } from "@coordination-signals/proto/coordination/v1/state_service";
import { type AgentView, agentMessage } from "../registry/agent-state.js";
import type { SessionState } from "../state/session-state.js";
import type { CoordinationHeader } from "../store/signal-store.js";
import { dependencyMessage } from "./coordination-message.js";
import { cutToBytes } from "./cut-to-bytes.js";
import { signalMetricsResponse } from "./signal-metrics-response.js";

/** What a snapshot is made of. */
export interface SnapshotSource {
  readonly snapshotId: string;
  readonly label: string;
  readonly requestedBy: string;
  readonly session: SessionState;
  readonly header: CoordinationHeader;
  readonly nowMs: number;
  readonly agents: readonly AgentView[];
}

/** A coordination's state as the contract's message; its agents and its dependencies are cut at 1 MiB each. */
export function snapshotMessage(source: SnapshotSource): Snapshot {
  const { header, session, agents } = source;
  const dependencies = [...session.dependencies.values()].reverse();
  return create(SnapshotSchema, {
    snapshotId: source.snapshotId,
    coordinationId: header.coordinationId,
    label: source.label,
    requestedBy: source.requestedBy,
    createTime: timestampFromMs(source.nowMs),
    epoch: header.epoch,
    revision: header.revision,
    headSequence: header.headSequence,
    generation: header.generation,
    agents: cutToBytes(AgentSchema, agents, { messageOf: (view) => agentMessage(header.coordinationId, view) }),
    dependencies: cutToBytes(DependencySchema, dependencies, { messageOf: dependencyMessage }),
    metrics: signalMetricsResponse({ session, header }),
    agentCount: BigInt(agents.length),
    dependencyCount: BigInt(dependencies.length),
  });
}
