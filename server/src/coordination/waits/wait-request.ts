import { nextId } from "../../model/signal-ids.js";
import type { WaitConditionRecord, WaitRecord } from "../../state/wait-record.js";
import type { WaitEnvironment } from "./wait-environment.js";

/** What to wait for. */
export interface WaitRequest {
  readonly coordinationId: string;
  readonly agentId: string;
  readonly conditions: readonly WaitConditionRecord[];
  readonly mode: WaitRecord["mode"];
  readonly needed: number;
  readonly independent: boolean;
  readonly timeoutMs: number;
}

/** Nothing has come yet. */
export const nothingMatched: WaitRecord["matched"] = {};

/** The wait that a request begins now. */
export function waitRecordOf(request: WaitRequest, { clock, owner }: WaitEnvironment): WaitRecord {
  const { agentId, conditions, mode, needed, independent, timeoutMs } = request;
  const startTimeMs = clock.nowMs();
  return {
    waitId: nextId(),
    agentId,
    conditions,
    mode,
    needed,
    independent,
    startTimeMs,
    expireTimeMs: startTimeMs + timeoutMs,
    owner,
    matched: nothingMatched,
  };
}
