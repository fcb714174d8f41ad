import { create, fromBinary, toBinary } from "@bufbuild/protobuf";
import { timestampFromMs } from "@bufbuild/protobuf/wkt";
import {
  type WaitForRequest,
  WaitForRequestSchema,
  type WaitForResponse,
  WaitForResponseSchema,
} from "@coordination-signals/proto/coordination/v1/coordination_service";
import { SignalFilterSchema } from "@coordination-signals/proto/coordination/v1/signal";
import {
  type AgentCondition,
  AgentMilestone,
  type OpenWait,
  OpenWaitSchema,
  type WaitCondition,
  WaitConditionSchema,
  WaitMode,
} from "@coordination-signals/proto/coordination/v1/wait";
import type { ConditionState } from "../coordination/waits/condition-state.js";
import type { WaitView } from "../coordination/waits/wait-graph.js";
import type { WaitRequest } from "../coordination/waits/wait-request.js";
import { describeCondition } from "../coordination/waits/wait-text.js";
import { CoordinationError } from "../model/coordination-error.js";
import type { FilterExpressionCompiler } from "../model/filter-expression.js";
import { defaultWaitTimeoutMs, maxListedWaitBytes, maxWaitBytes } from "../model/limits.js";
import { compileSignalFilter } from "../model/signal-filter.js";
import type { AgentConditionRecord, WaitConditionRecord, WaitRecord } from "../state/wait-record.js";
import { callWaitMs } from "./call-wait-ms.js";
import { cutToBytes } from "./cut-to-bytes.js";
import { spanMs } from "./request-fields.js";

const maxListedWaits = 1_000;
/** Agents that are named for one condition, and agents of loops for one wait. */
const maxNamedAgents = 100;
/** Agents that are named for a condition that anybody can meet: they are the same ones again and again. */
const maxNamedAnyone = 8;
/** Bytes of those names for one wait; at least one agent is named for each condition. */
const maxNameBytes = 64 * 1024;

/**
 * What a request asks to wait for, in a call that may take `callTimeMs` more; undefined where it has no deadline. Throws INVALID_REQUEST for
 * parts that contradict each other, INVALID_FILTER.
 */
export function waitRequestFrom(
  request: WaitForRequest,
  expressions: FilterExpressionCompiler,
  callTimeMs: number | undefined,
): WaitRequest {
  checkSize(request);
  return {
    coordinationId: request.coordinationId,
    agentId: request.agentId,
    conditions: request.conditions.map((condition, index) => conditionFrom(condition, index, expressions)),
    ...modeFrom(request),
    independent: request.independent,
    timeoutMs: callWaitMs(spanMs(request.timeout, defaultWaitTimeoutMs), callTimeMs),
  };
}

/** What became of a wait's conditions. */
export function waitResponse(states: readonly ConditionState[]): WaitForResponse {
  return create(WaitForResponseSchema, {
    conditions: states.map((state) =>
      state.is === "satisfied" ? { satisfied: true, sequence: state.sequence } : { satisfied: false, sequence: 0n },
    ),
  });
}

/** Open waits as the contract shows them: as many, from the first one, as fit beside other lists. */
export function openWaitMessages(waits: readonly WaitView[]): OpenWait[] {
  return cutToBytes(OpenWaitSchema, waits.slice(0, maxListedWaits), {
    messageOf: openWaitMessage,
    maxBytes: maxListedWaitBytes,
  });
}

function openWaitMessage({ record, pending, isOrphan, isDeadlocked, blockedBy }: WaitView): OpenWait {
  const shownNames = namesWithin(maxNameBytes);
  return create(OpenWaitSchema, {
    waitId: record.waitId,
    agentId: record.agentId,
    conditions: record.conditions.map(conditionMessage),
    mode: modes[record.mode],
    atLeast: record.mode === "atLeast" ? record.needed : 0,
    independent: record.independent,
    startTime: timestampFromMs(record.startTimeMs),
    expireTime: timestampFromMs(record.expireTimeMs),
    pendingConditions: pending.map(({ conditionIndex, agentIds, anyone }) => ({
      conditionIndex,
      description: describe(record, conditionIndex),
      agentIds: shownNames(agentIds.slice(0, anyone ? maxNamedAnyone : maxNamedAgents)),
      anyone,
    })),
    orphan: isOrphan,
    deadlocked: isDeadlocked,
    blockedBy: blockedBy.slice(0, maxNamedAgents),
  });
}

/** Takes as many of the names that it is given as there is room for in all, and at least one each time. */
function namesWithin(maxBytes: number): (names: readonly string[]) => string[] {
  let bytes = 0;
  return (names) =>
    names.filter((name, index) => {
      bytes += name.length + 2;
      return bytes <= maxBytes || index === 0;
    });
}

const modes: Readonly<Record<WaitRecord["mode"], WaitMode>> = {
  all: WaitMode.ALL,
  any: WaitMode.ANY,
  atLeast: WaitMode.AT_LEAST,
};

/** Most requests need not be encoded to say that they are small. */
function checkSize(request: WaitForRequest): void {
  if (request.conditions.reduce((sum, condition) => sum + mostBytesOf(condition), mostEnvelopeBytes) <= maxWaitBytes)
    return;
  const bytes = toBinary(WaitForRequestSchema, request).length;
  if (bytes > maxWaitBytes) throw invalid(`the request to wait is ${bytes} bytes, limit is ${maxWaitBytes}`);
}

// Two names, a time and small numbers.
const mostEnvelopeBytes = 2_048;
// Tags, lengths and small numbers.
const mostFixedBytes = 64;
const mostBytesPerUnit = 3;

/** No less than a condition takes in its encoded form; infinite for filters, of which nobody knows. */
function mostBytesOf({ condition }: WaitCondition): number {
  switch (condition.case) {
    case "dependency": {
      const { dependencyType, dependencyId, expectedFrom } = condition.value;
      let units = dependencyType.length + dependencyId.length;
      for (const agentId of expectedFrom) units += agentId.length + 2;
      return mostFixedBytes + mostBytesPerUnit * units;
    }
    case "agent":
      return mostFixedBytes + mostBytesPerUnit * condition.value.agentId.length;
    default:
      return Number.POSITIVE_INFINITY;
  }
}

function describe({ conditions }: WaitRecord, index: number): string {
  const condition = conditions[index];
  return condition === undefined ? "" : describeCondition(condition);
}

function modeFrom({ mode, atLeast, conditions }: WaitForRequest): Pick<WaitRequest, "mode" | "needed"> {
  if (mode !== WaitMode.AT_LEAST && atLeast !== 0) {
    throw invalid(
      `at_least is ${atLeast}, which goes with WAIT_MODE_AT_LEAST only: mode is ${WaitMode[mode]}`,
      "at_least",
    );
  }
  switch (mode) {
    case WaitMode.UNSPECIFIED:
    case WaitMode.ALL:
      return { mode: "all", needed: conditions.length };
    case WaitMode.ANY:
      return { mode: "any", needed: 1 };
    case WaitMode.AT_LEAST:
      if (atLeast < 1 || atLeast > conditions.length) {
        throw invalid(
          `at_least is ${atLeast}, it must be from 1 to the number of conditions, ${conditions.length}`,
          "at_least",
        );
      }
      return { mode: "atLeast", needed: atLeast };
  }
}

function conditionFrom(
  { condition }: WaitCondition,
  index: number,
  expressions: FilterExpressionCompiler,
): WaitConditionRecord {
  switch (condition.case) {
    case "dependency": {
      const { dependencyType, dependencyId, expectedFrom } = condition.value;
      return { kind: "dependency", dependencyType, dependencyId, expectedFrom };
    }
    case "agent":
      return agentConditionFrom(condition.value, index);
    case "signal": {
      const { typeMask } = compileFilterAt(index, () => compileSignalFilter(condition.value, expressions));
      const filter = Buffer.from(toBinary(SignalFilterSchema, condition.value)).toString("base64");
      return { kind: "signal", filter, senders: condition.value.senderAgentIds, typeMask };
    }
    case undefined:
      throw invalid(`conditions[${index}] says nothing`, `conditions[${index}]`);
  }
}

function agentConditionFrom(
  { agentId, milestone, minQualityScore }: AgentCondition,
  index: number,
): AgentConditionRecord {
  if (milestone !== AgentMilestone.INITIALIZED) {
    return { kind: "agent", agentId, milestone: "completed", minQualityScore };
  }
  if (minQualityScore !== undefined) {
    throw invalid(
      `conditions[${index}].agent: min_quality_score is ${minQualityScore}, which goes with AGENT_MILESTONE_COMPLETED only`,
      `conditions[${index}].agent.min_quality_score`,
    );
  }
  return { kind: "agent", agentId, milestone: "initialized" };
}

function compileFilterAt<T>(index: number, compile: () => T): T {
  try {
    return compile();
  } catch (error) {
    if (!(error instanceof CoordinationError)) throw error;
    throw new CoordinationError(error.reason, `conditions[${index}].signal: ${error.message}`, {
      metadata: { ...error.metadata, index: String(index) },
    });
  }
}

function conditionMessage(condition: WaitConditionRecord): WaitCondition {
  switch (condition.kind) {
    case "dependency": {
      const { dependencyType, dependencyId, expectedFrom } = condition;
      const value = { dependencyType, dependencyId, expectedFrom: [...expectedFrom] };
      return create(WaitConditionSchema, { condition: { case: "dependency", value } });
    }
    case "agent": {
      const { agentId, minQualityScore } = condition;
      const milestone = condition.milestone === "initialized" ? AgentMilestone.INITIALIZED : AgentMilestone.COMPLETED;
      const value = { agentId, milestone, ...(minQualityScore !== undefined && { minQualityScore }) };
      return create(WaitConditionSchema, { condition: { case: "agent", value } });
    }
    case "signal": {
      const value = fromBinary(SignalFilterSchema, Buffer.from(condition.filter, "base64"));
      return create(WaitConditionSchema, { condition: { case: "signal", value } });
    }
  }
}

function invalid(message: string, field = ""): CoordinationError {
  return new CoordinationError("INVALID_REQUEST", message, { metadata: field === "" ? {} : { field } });
}
