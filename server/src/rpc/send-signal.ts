import type { HandlerContext } from "@connectrpc/connect";
import type { SendSignalRequest, SendSignalResponse } from "@coordination-signals/proto/coordination/v1/signal_service";
import type { RequiredAcks } from "../delivery/acknowledged/required-acks.js";
import { CoordinationError } from "../model/coordination-error.js";
import { defaultAckTimeoutMs } from "../model/limits.js";
import { sendResponse } from "./batch-response.js";
import { callWaitMs } from "./call-wait-ms.js";
import { spanMs } from "./request-fields.js";
import type { ServiceDependencies } from "./service-dependencies.js";
import { preparedFrom, WireSend } from "./wire-send/wire-send.js";

/** Stores one signal, and waits for the acknowledgements that it requires. */
export async function sendSignal(
  { coordinator }: ServiceDependencies,
  request: SendSignalRequest,
  // Its signal is made when it is asked for.
  context: Pick<HandlerContext, "signal" | "timeoutMs">,
): Promise<SendSignalResponse> {
  const required = requiredAcksOf(request);
  const prepared = preparedFrom(request);
  if (required === undefined) return sendResponse(await coordinator.send(prepared));
  const timeoutMs = callWaitMs(required.timeoutMs, context.timeoutMs());
  return sendResponse(await coordinator.waits.sendAcknowledged(prepared, { ...required, timeoutMs }, context.signal));
}

/** Refuses required acknowledgements where nobody would wait for them. Throws INVALID_REQUEST. */
export function refuseRequiredAcks({ requiredAcks, ackTimeout }: SendSignalRequest, why: string): void {
  if (requiredAcks.length > 0) throw invalid("required_acks", `required_acks is for SendSignal only: ${why}`);
  if (ackTimeout !== undefined) throw invalid("ack_timeout", `ack_timeout is for SendSignal only: ${why}`);
}

/** Whose acknowledgement a request requires; undefined for nobody's. Throws INVALID_REQUEST. */
function requiredAcksOf(request: SendSignalRequest): RequiredAcks | undefined {
  // As nearly always, and then the message need not be decoded to say so.
  if (request instanceof WireSend) return undefined;
  const { requiredAcks: agentIds, ackTimeout, recipientAgentIds } = request;
  if (agentIds.length === 0) {
    if (ackTimeout === undefined) return undefined;
    throw invalid("ack_timeout", "ack_timeout is set and required_acks is not: there is nothing to wait for");
  }
  const stranger = agentIds.find((agentId) => recipientAgentIds.length > 0 && !recipientAgentIds.includes(agentId));
  if (stranger !== undefined) {
    throw invalid("required_acks", `required_acks names "${stranger}", which is none of the recipients`);
  }
  return { agentIds, timeoutMs: spanMs(ackTimeout, defaultAckTimeoutMs) };
}

function invalid(field: string, message: string): CoordinationError {
  return new CoordinationError("INVALID_REQUEST", message, { metadata: { field } });
}
