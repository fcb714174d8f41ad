import type { CoordinationSignal } from "@coordination-signals/proto/coordination/v1/signal";
import {
  type RequestSignalRequestSchema,
  type RequestSignalResponse,
  type RequestSignalResponseSchema,
  SignalService,
} from "@coordination-signals/proto/coordination/v1/signal_service";
import type { LongCallPlan } from "../calls/long-call.js";
import { InternalError } from "../errors/coordination-client-error.js";
import { checkNumber, timeoutRule } from "../options/check-number.js";
import { encodeSend } from "../sending/encode-send.js";
import type { InterAgentMessageInit, Sender, SignalOptions } from "../sending/outgoing-signal.js";

/** What is asked. */
export type RequestInit = Omit<InterAgentMessageInit, "requiresResponse" | "responseTimeoutMs">;

/** How it is asked. */
export interface RequestOptions extends SignalOptions {
  /** How long to wait for the reply, in milliseconds, at most an hour. Default 30,000. */
  readonly timeoutMs?: number | undefined;
  /** Gives up: the request rejects with CancelledError. It stays in history. */
  readonly signal?: AbortSignal | undefined;
}

/** A request and its reply. */
export interface RequestResult {
  /** The request as it was stored. */
  readonly request: CoordinationSignal;
  /** The first signal of another agent whose correlationId is the request's signalId. */
  readonly reply: CoordinationSignal;
}

const defaultTimeoutMs = 30_000;
/** A request as a call. */
export type RequestPlan = LongCallPlan<
  typeof RequestSignalRequestSchema,
  typeof RequestSignalResponseSchema,
  RequestResult
>;

/** Plans to ask, and to wait for the reply: repeated with the same requestId while the server is away, it asks once. */
export function requestPlan(sender: Sender, event: RequestInit, options: RequestOptions): RequestPlan {
  const { timeoutMs = defaultTimeoutMs, signal: _, ...rest } = options;
  checkNumber("timeoutMs", timeoutMs, timeoutRule);
  const value = { ...event, requiresResponse: true, responseTimeoutMs: timeoutMs };
  const { request } = encodeSend(sender, { ...rest, event: { case: "interAgentMessage", value } });
  return {
    method: SignalService.method.requestSignal,
    requestFor: () => ({ request }),
    resultOf: requestResultFrom,
    timeoutMs,
  };
}

function requestResultFrom({ request, reply }: RequestSignalResponse): RequestResult {
  if (request !== undefined && reply !== undefined) return { request, reply };
  throw new InternalError({ message: "the answer has no reply", reason: "UNEXPECTED_RESPONSE", code: "INTERNAL" });
}
