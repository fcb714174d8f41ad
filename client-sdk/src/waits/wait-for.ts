import { create } from "@bufbuild/protobuf";
import { durationFromMs } from "@bufbuild/protobuf/wkt";
import {
  CoordinationService,
  type WaitForRequest,
  WaitForRequestSchema,
  type WaitForResponse,
  type WaitForResponseSchema,
} from "@coordination-signals/proto/coordination/v1/coordination_service";
import type { LongCallPlan } from "../calls/long-call.js";
import { InvalidRequestError } from "../errors/coordination-client-error.js";
import { invalidOption } from "../errors/invalid-option.js";
import { checkNumber, timeoutRule } from "../options/check-number.js";
import { assertKnownOptions } from "../signals/signal-filter.js";
import { conditionFrom, modeFrom, type WaitConditionInit, type WaitModeInit } from "./wait-conditions.js";

/** How to wait. */
export interface WaitForOptions {
  /** How many conditions have to be met: "all", "any" or `{ atLeast: n }`. Default "all". */
  readonly mode?: WaitModeInit | undefined;
  /** How long to wait altogether, in milliseconds, at most an hour. Default 60,000. */
  readonly timeoutMs?: number | undefined;
  /**
   * Whether the agent goes on with other work meanwhile. Waits that are not independent hold up their agent until all of them
   * have ended, and with it everybody who waits for the agent. Default false.
   */
  readonly independent?: boolean | undefined;
  /** Gives up: the wait rejects with CancelledError. */
  readonly signal?: AbortSignal | undefined;
}

/** It has happened. */
export interface WaitResult {
  /** The signal that met each condition, in the order of the conditions; `undefined` for one that need not be met any more. */
  readonly sequences: readonly (bigint | undefined)[];
}

/** Who waits. */
export interface Waiter {
  readonly coordinationId: string;
  readonly agentId: string;
}

/** A wait as a call. */
export type WaitPlan = LongCallPlan<typeof WaitForRequestSchema, typeof WaitForResponseSchema, WaitResult>;

const defaultTimeoutMs = 60_000;
const waitForKeys = ["mode", "timeoutMs", "independent", "signal"] as const satisfies readonly (keyof WaitForOptions)[];

/** Plans to wait until enough conditions are met. Throws InvalidRequestError. */
export function waitPlan(
  waiter: Waiter,
  conditions: WaitConditionInit | readonly WaitConditionInit[],
  options: WaitForOptions,
): WaitPlan {
  assertKnownOptions(options, waitForKeys);
  const { timeoutMs = defaultTimeoutMs } = options;
  checkNumber("timeoutMs", timeoutMs, timeoutRule);
  const request = requestFrom(waiter, conditions, options);
  const requestFor = (restMs: number): WaitForRequest => {
    request.timeout = durationFromMs(restMs);
    return request;
  };
  return { method: CoordinationService.method.waitFor, requestFor, resultOf: waitResultFrom, timeoutMs };
}

function requestFrom(
  { coordinationId, agentId }: Waiter,
  conditions: WaitConditionInit | readonly WaitConditionInit[],
  { mode = "all", independent = false }: WaitForOptions,
): WaitForRequest {
  const list: readonly WaitConditionInit[] = Array.isArray(conditions) ? conditions : [conditions];
  try {
    const { mode: waitMode, atLeast } = modeFrom(mode);
    const how = { mode: waitMode, atLeast, independent };
    return create(WaitForRequestSchema, { coordinationId, agentId, conditions: list.map(conditionFrom), ...how });
  } catch (error) {
    if (error instanceof InvalidRequestError) throw error;
    throw invalidOption(`a condition cannot be understood: ${String(error)}`);
  }
}

function waitResultFrom({ conditions }: WaitForResponse): WaitResult {
  return { sequences: conditions.map(({ satisfied, sequence }) => (satisfied ? sequence : undefined)) };
}
