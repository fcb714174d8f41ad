import { create } from "@bufbuild/protobuf";
import type { HandlerContext } from "@connectrpc/connect";
import {
  type RequestSignalRequest,
  type RequestSignalResponse,
  RequestSignalResponseSchema,
  type SendSignalRequest,
} from "@coordination-signals/proto/coordination/v1/signal_service";
import { CoordinationError } from "../model/coordination-error.js";
import { defaultResponseTimeoutMs, maxResponseTimeoutMs } from "../model/limits.js";
import { prepareSignal } from "../model/prepare-signals.js";
import { callWaitMs } from "./call-wait-ms.js";
import { refuseRequiredAcks } from "./send-signal.js";
import type { ServiceDependencies } from "./service-dependencies.js";

/** Sends a message that asks for a reply, and answers with both. */
export async function requestSignal(
  { coordinator }: ServiceDependencies,
  { request }: RequestSignalRequest,
  { signal: abort, timeoutMs: callTimeMs }: HandlerContext,
): Promise<RequestSignalResponse> {
  if (request === undefined) throw new CoordinationError("INVALID_REQUEST", "request is not set");
  refuseRequiredAcks(request, "a request is answered with its reply");
  const timeoutMs = responseTimeoutMs(request);
  const waitMs = callWaitMs(timeoutMs, callTimeMs());
  const { request: sent, reply } = await coordinator.waits.request(prepareSignal(request), {
    timeoutMs,
    waitMs,
    abort,
  });
  return create(RequestSignalResponseSchema, { request: sent.signal, reply: reply.signal });
}

/** How long to wait; marks the message as one that asks for a reply. Throws INVALID_REQUEST. */
function responseTimeoutMs({ event }: SendSignalRequest): number {
  if (event.case !== "interAgentMessage") {
    const found = event.case ?? "nothing";
    throw new CoordinationError(
      "INVALID_REQUEST",
      `a request is an inter_agent_message, this one's event is ${found}`,
      {
        metadata: { field: "request.event" },
      },
    );
  }
  event.value.requiresResponse = true;
  const timeoutMs = event.value.responseTimeoutMs ?? defaultResponseTimeoutMs;
  if (timeoutMs <= maxResponseTimeoutMs) return timeoutMs;
  throw new CoordinationError(
    "INVALID_REQUEST",
    `response_timeout_ms is ${timeoutMs}, limit is ${maxResponseTimeoutMs}`,
    {
      metadata: { field: "request.inter_agent_message.response_timeout_ms" },
    },
  );
}
