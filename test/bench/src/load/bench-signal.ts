import { create, fromBinary, toBinary } from "@bufbuild/protobuf";
import { timestampFromMs } from "@bufbuild/protobuf/wkt";
import { type CoordinationSignal, CoordinationSignalSchema } from "@coordination-signals/proto/coordination/v1/signal";
import {
  type SendSignalRequest,
  SendSignalRequestSchema,
} from "@coordination-signals/proto/coordination/v1/signal_service";
import { messageText, messageType } from "./bench-message.js";

/** As long as what the server makes. */
const signalId = "01980000-0000-7000-8000-000000000000";
/** Those at its end that number a request. */
const requestDigits = 12;

/** The message as a typed signal, complete as a server would deliver it: what the limits carry. */
export function encodeSignal(senderAgentId: string, number: number): Uint8Array {
  const signal = create(CoordinationSignalSchema, {
    signalId,
    coordinationId: "bench",
    sequence: BigInt(number),
    senderAgentId,
    timestamp: timestampFromMs(Date.now()),
    requestId: signalId,
    event: interAgentMessage(number),
  });
  return toBinary(CoordinationSignalSchema, signal);
}

/** Decodes what {@link encodeSignal} made. */
export function decodeSignal(bytes: Uint8Array): CoordinationSignal {
  return fromBinary(CoordinationSignalSchema, bytes);
}

/** The message as the request of a plain gRPC call. */
export function sendRequest(coordinationId: string, senderAgentId: string, number: number): SendSignalRequest {
  return create(SendSignalRequestSchema, { coordinationId, senderAgentId, event: interAgentMessage(number) });
}

/** As {@link sendRequest}, with a `request_id` of its own, as the SDK gives every signal. */
export function identifiedRequest(coordinationId: string, senderAgentId: string, number: number): SendSignalRequest {
  const requestId = `${signalId.slice(0, -requestDigits)}${number.toString(16).padStart(requestDigits, "0")}`;
  return create(SendSignalRequestSchema, {
    coordinationId,
    senderAgentId,
    requestId,
    event: interAgentMessage(number),
  });
}

/** The message's number. Throws for a signal that is none of the bench's. */
export function numberOf({ event }: CoordinationSignal): number {
  if (event.case === "interAgentMessage" && event.value.responseTimeoutMs !== undefined) {
    return event.value.responseTimeoutMs;
  }
  throw new Error(`a signal of type ${event.case ?? "unknown"} was delivered that the bench did not send`);
}

function interAgentMessage(number: number) {
  return {
    case: "interAgentMessage" as const,
    value: { messageType, message: messageText, responseTimeoutMs: number },
  };
}
