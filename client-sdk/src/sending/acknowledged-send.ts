import { durationFromMs } from "@bufbuild/protobuf/wkt";
import type { Client } from "@connectrpc/connect";
import type { SignalService } from "@coordination-signals/proto/coordination/v1/signal_service";
import type { Caller } from "../calls/caller.js";
import { invalidOption } from "../errors/invalid-option.js";
import type { Clock } from "../time/clock.js";
import { encodeSend } from "./encode-send.js";
import type { OutgoingSignal, Sender } from "./outgoing-signal.js";
import { type SendResult, sendResultFrom } from "./send-result.js";

/** Whose acknowledgement a send waits for. */
export interface RequireAckOptions {
  /**
   * The agents that have to acknowledge the signal, through named subscriptions of theirs, before the send resolves. At most 64.
   * Default: none, and the send resolves once the signal is durable.
   */
  readonly requireAck?: readonly string[] | undefined;
  /** With `requireAck`: how long to wait, in milliseconds, at most an hour. Default 30,000. */
  readonly timeoutMs?: number | undefined;
}

const defaultTimeoutMs = 30_000;
/** What the server's own answer to a timeout may take to come here. */
const answerGraceMs = 10_000;

/** The agents that have to acknowledge a send; empty for none. Throws InvalidRequestError for options that do not go together. */
export function requiredAcksOf({ requireAck = [], timeoutMs }: RequireAckOptions): readonly string[] {
  if (timeoutMs === undefined) return requireAck;
  if (requireAck.length === 0)
    throw invalidOption("timeoutMs is set and requireAck is not: there is nothing to wait for");
  if (!(timeoutMs > 0)) throw invalidOption(`timeoutMs is ${timeoutMs}, it must be greater than 0`);
  return requireAck;
}

/** Sends, and waits for acknowledgements: repeated with the same requestId while the server is away, it is stored once. */
export async function sendAcknowledged(
  environment: { readonly client: Client<typeof SignalService>; readonly caller: Caller; readonly clock: Clock },
  sender: Sender,
  outgoing: OutgoingSignal,
  options: RequireAckOptions & { readonly signal: AbortSignal },
): Promise<SendResult> {
  const { client, caller, clock } = environment;
  const { timeoutMs = defaultTimeoutMs, signal: abort } = options;
  const requiredAcks = [...requiredAcksOf(options)];
  const { request } = encodeSend(sender, outgoing);
  const deadlineMs = clock.nowMs() + timeoutMs;
  const response = await caller.callFor(
    ({ signal }) => {
      const restMs = Math.max(1, Math.ceil(deadlineMs - clock.nowMs()));
      const attempt = { ...request, requiredAcks, ackTimeout: durationFromMs(restMs) };
      return client.sendSignal(attempt, { signal, timeoutMs: restMs + answerGraceMs });
    },
    timeoutMs,
    { signal: abort },
  );
  return sendResultFrom(response);
}
