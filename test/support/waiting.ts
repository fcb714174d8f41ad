/** Agents that wait for each other, over the wire and without it. */
import type { MessageInitShape } from "@bufbuild/protobuf";
import type {
  WaitForRequestSchema,
  WaitForResponse,
} from "@coordination-signals/proto/coordination/v1/coordination_service";
import { AgentMilestone, type WaitConditionSchema } from "@coordination-signals/proto/coordination/v1/wait";
import { eventually } from "./eventually.js";
import type { TestClient } from "./test-client.js";

export type ConditionInit = MessageInitShape<typeof WaitConditionSchema>;
export type WaitInit = MessageInitShape<typeof WaitForRequestSchema>;

/** A dependency of type "model". */
export function model(dependencyId: string, ...expectedFrom: string[]): ConditionInit {
  return { condition: { case: "dependency", value: { dependencyType: "model", dependencyId, expectedFrom } } };
}

/** An agent's completion. */
export function completionOf(agentId: string, minQualityScore?: number): ConditionInit {
  const score = minQualityScore === undefined ? {} : { minQualityScore };
  return { condition: { case: "agent", value: { agentId, milestone: AgentMilestone.COMPLETED, ...score } } };
}

/** An agent's initialisation. */
export function initialisationOf(agentId: string): ConditionInit {
  return { condition: { case: "agent", value: { agentId, milestone: AgentMilestone.INITIALIZED } } };
}

/** A message of a type, from anybody or from named senders. */
export function messageOfType(messageType: string, ...senderAgentIds: string[]): ConditionInit {
  const expression = `signal.inter_agent_message.message_type == ${JSON.stringify(messageType)}`;
  return { condition: { case: "signal", value: { senderAgentIds, expression } } };
}

/** A call that waits. */
export interface WaitingCall {
  readonly answer: Promise<WaitForResponse>;
  readonly abort: AbortController;
}

/** Begins to wait in a coordination and resolves when the wait is open there. */
export async function openWaitAs(client: TestClient, coordinationId: string, wait: WaitInit): Promise<WaitingCall> {
  // Of this agent alone: the wait of another one may be on its way out.
  const countOpen = async () => {
    const graph = await client.coordinations.getWaitGraph({ coordinationId }).catch(() => undefined);
    return graph?.waits.filter(({ agentId }) => agentId === wait.agentId).length ?? 0;
  };
  const before = await countOpen();
  const abort = new AbortController();
  const answer = client.coordinations.waitFor({ coordinationId, ...wait }, { signal: abort.signal });
  // Whoever looks at it later finds what it came to.
  answer.catch(() => undefined);
  await eventually(async () => {
    const count = await countOpen();
    if (count <= before) throw new Error(`${count} waits of ${wait.agentId} are open`);
  });
  return { answer, abort };
}

/** How many waits are open; none where there is no such coordination. */
export async function openWaitCount(client: TestClient, coordinationId: string): Promise<number> {
  const graph = await client.coordinations.getWaitGraph({ coordinationId }).catch(() => undefined);
  return Number(graph?.waitCount ?? 0n);
}

/** The sequences in an answer; 0 for a condition that is not met. */
export function sequencesOf({ conditions }: WaitForResponse): number[] {
  return conditions.map(({ sequence }) => Number(sequence));
}
