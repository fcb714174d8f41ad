import type { Client } from "@connectrpc/connect";
import type { CoordinationSignal } from "@coordination-signals/proto/coordination/v1/signal";
import type { SignalService } from "@coordination-signals/proto/coordination/v1/signal_service";
import type { Caller } from "../calls/caller.js";
import { InternalError } from "../errors/coordination-client-error.js";
import { invalidOption } from "../errors/invalid-option.js";
import { encodeSend } from "../sending/encode-send.js";
import type { InterAgentMessageInit, Sender, SignalOptions } from "../sending/outgoing-signal.js";
import type { Clock } from "../time/clock.js";

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
  /** The first signal whose correlationId is the request's signalId. */
  readonly reply: CoordinationSignal;
}

const defaultTimeoutMs = 30_000;
/** What the server's own answer to a timeout may take to come here. */
const answerGraceMs = 10_000;

/** Asks, and waits for the reply: repeated with the same requestId while the server is away, it asks once. */
export async function requestSignal(
  environment: { readonly client: Client<typeof SignalService>; readonly caller: Caller; readonly clock: Clock },
  sender: Sender,
  { event, options }: { readonly event: RequestInit; readonly options: RequestOptions },
): Promise<RequestResult> {
  const { client, caller, clock } = environment;
  const { timeoutMs = defaultTimeoutMs, signal: abort, ...rest } = options;
  if (!(timeoutMs > 0)) throw invalidOption(`timeoutMs is ${timeoutMs}, it must be greater than 0`);
  const value = { ...event, requiresResponse: true, responseTimeoutMs: timeoutMs };
  const { request } = encodeSend(sender, { ...rest, event: { case: "interAgentMessage", value } });
  const deadlineMs = clock.nowMs() + timeoutMs;
  const response = await caller.callFor(
    ({ signal }) => {
      const restMs = Math.max(1, Math.ceil(deadlineMs - clock.nowMs()));
      return client.requestSignal({ request }, { signal, timeoutMs: restMs + answerGraceMs });
    },
    timeoutMs,
    { signal: abort },
  );
  const { request: sent, reply } = response;
  if (sent !== undefined && reply !== undefined) return { request: sent, reply };
  throw new InternalError({ message: "the answer has no reply", reason: "UNEXPECTED_RESPONSE", code: "INTERNAL" });
}
