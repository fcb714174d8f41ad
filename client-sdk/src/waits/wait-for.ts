import { create } from "@bufbuild/protobuf";
import { durationFromMs } from "@bufbuild/protobuf/wkt";
import type { Client } from "@connectrpc/connect";
import {
  type CoordinationService,
  WaitForRequestSchema,
} from "@coordination-signals/proto/coordination/v1/coordination_service";
import type { Caller } from "../calls/caller.js";
import { InvalidRequestError } from "../errors/coordination-client-error.js";
import { invalidOption } from "../errors/invalid-option.js";
import { assertKnownOptions } from "../signals/signal-filter.js";
import type { Clock } from "../time/clock.js";
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

/** What waits are made with. */
export interface WaitEnvironment {
  readonly client: Client<typeof CoordinationService>;
  readonly caller: Caller;
  readonly clock: Clock;
  readonly coordinationId: string;
  readonly agentId: string;
}

const defaultTimeoutMs = 60_000;
/** What the server's own answer to a timeout may take to come here. */
const answerGraceMs = 10_000;
const waitForKeys = ["mode", "timeoutMs", "independent", "signal"] as const satisfies readonly (keyof WaitForOptions)[];

/** Waits until enough conditions are met, however often the connection is lost or the server restarts meanwhile. */
export async function waitFor(
  { client, caller, clock, coordinationId, agentId }: WaitEnvironment,
  conditions: WaitConditionInit | readonly WaitConditionInit[],
  options: WaitForOptions,
): Promise<WaitResult> {
  assertKnownOptions(options, waitForKeys);
  const timeoutMs = options.timeoutMs ?? defaultTimeoutMs;
  if (!(timeoutMs > 0)) throw invalidOption(`timeoutMs is ${timeoutMs}, it must be greater than 0`);
  const request = requestFrom({ coordinationId, agentId }, conditions, options);
  // Whole milliseconds: gRPC knows no fractions of them.
  const deadlineMs = clock.nowMs() + timeoutMs;
  const response = await caller.callFor(
    ({ signal }) => {
      // History answers what has happened meanwhile: only the rest of the time is waited for.
      const restMs = Math.max(1, Math.ceil(deadlineMs - clock.nowMs()));
      const rest = create(WaitForRequestSchema, { ...request, timeout: durationFromMs(restMs) });
      return client.waitFor(rest, { signal, timeoutMs: restMs + answerGraceMs });
    },
    timeoutMs,
    options,
  );
  return { sequences: response.conditions.map(({ satisfied, sequence }) => (satisfied ? sequence : undefined)) };
}

function requestFrom(
  waiter: { readonly coordinationId: string; readonly agentId: string },
  conditions: WaitConditionInit | readonly WaitConditionInit[],
  { mode = "all", independent = false }: WaitForOptions,
) {
  const list: readonly WaitConditionInit[] = Array.isArray(conditions) ? conditions : [conditions];
  try {
    return { ...waiter, ...modeFrom(mode), independent, conditions: list.map(conditionFrom) };
  } catch (error) {
    if (error instanceof InvalidRequestError) throw error;
    throw invalidOption(`a condition cannot be understood: ${String(error)}`);
  }
}
