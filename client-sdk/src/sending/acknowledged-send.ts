import { durationFromMs } from "@bufbuild/protobuf/wkt";
import {
  type SendSignalRequestSchema,
  type SendSignalResponseSchema,
  SignalService,
} from "@coordination-signals/proto/coordination/v1/signal_service";
import type { LongCallPlan } from "../calls/long-call.js";
import { invalidOption } from "../errors/invalid-option.js";
import { checkNumber, timeoutRule } from "../options/check-number.js";
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
/** A send that waits for acknowledgements as a call. */
export type AcknowledgedSendPlan = LongCallPlan<
  typeof SendSignalRequestSchema,
  typeof SendSignalResponseSchema,
  SendResult
>;

/** The agents that have to acknowledge a send; empty for none. Throws InvalidRequestError for options that do not go together. */
export function requiredAcksOf({ requireAck = [], timeoutMs }: RequireAckOptions): readonly string[] {
  if (timeoutMs === undefined) return requireAck;
  if (requireAck.length === 0)
    throw invalidOption("timeoutMs is set and requireAck is not: there is nothing to wait for");
  checkNumber("timeoutMs", timeoutMs, timeoutRule);
  return requireAck;
}

/** Plans to send, and to wait for acknowledgements: repeated with the same requestId while the server is away, it is stored once. */
export function acknowledgedSendPlan(
  sender: Sender,
  outgoing: OutgoingSignal,
  options: RequireAckOptions,
): AcknowledgedSendPlan {
  const { timeoutMs = defaultTimeoutMs } = options;
  const requiredAcks = [...requiredAcksOf(options)];
  const { request } = encodeSend(sender, outgoing);
  return {
    method: SignalService.method.sendSignal,
    requestFor: (restMs) => ({ ...request, requiredAcks, ackTimeout: durationFromMs(restMs) }),
    resultOf: sendResultFrom,
    timeoutMs,
  };
}
