/** Waits as the coordinator takes them, once the wire has been left behind. */
import { create, toBinary } from "@bufbuild/protobuf";
import { SignalFilterSchema } from "@coordination-signals/proto/coordination/v1/signal";
import type { WaitRequest } from "../../server/src/coordination/waits/wait-request.js";
import { compileSignalFilter } from "../../server/src/model/signal-filter.js";
import type { WaitConditionRecord } from "../../server/src/state/wait-record.js";
import type { FilterParts } from "./coordinator-under-test.js";

/** What a test says of a wait; all of its conditions, for a minute, when it says nothing else. */
export interface WaitParts {
  readonly coordinationId?: string;
  readonly agentId: string;
  readonly conditions: readonly WaitConditionRecord[];
  /** A number is AT_LEAST so many. */
  readonly mode?: "all" | "any" | number;
  readonly independent?: boolean;
  readonly timeoutMs?: number;
}

export function waitRequest({ conditions, mode = "all", ...parts }: WaitParts): WaitRequest {
  const needed = mode === "all" ? conditions.length : mode === "any" ? 1 : mode;
  return {
    coordinationId: "c",
    independent: false,
    timeoutMs: 60_000,
    ...parts,
    conditions,
    mode: typeof mode === "number" ? "atLeast" : mode,
    needed,
  };
}

export function dependencyOf(
  dependencyType: string,
  dependencyId: string,
  expectedFrom: readonly string[] = [],
): WaitConditionRecord {
  return { kind: "dependency", dependencyType, dependencyId, expectedFrom };
}

export function completed(agentId: string, minQualityScore?: number): WaitConditionRecord {
  return { kind: "agent", agentId, milestone: "completed", minQualityScore };
}

/** A message of a type, from anybody or from named senders. */
export function messageFrom(messageType: string, senders: readonly string[] = []): WaitConditionRecord {
  const expression = `signal.inter_agent_message.message_type == ${JSON.stringify(messageType)}`;
  return signalThat({ senderAgentIds: [...senders], expression });
}

/** A signal that a filter matches. */
export function signalThat(parts: FilterParts): WaitConditionRecord {
  const filter = create(SignalFilterSchema, parts);
  return {
    kind: "signal",
    filter: Buffer.from(toBinary(SignalFilterSchema, filter)).toString("base64"),
    senders: filter.senderAgentIds,
    typeMask: compileSignalFilter(filter).typeMask,
  };
}
