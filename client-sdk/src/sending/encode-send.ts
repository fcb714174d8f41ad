import { create, fromBinary, toBinary } from "@bufbuild/protobuf";
import { Priority } from "@coordination-signals/proto/coordination/v1/signal";
import {
  type SendSignalRequest,
  SendSignalRequestSchema,
} from "@coordination-signals/proto/coordination/v1/signal_service";
import { InvalidRequestError } from "../errors/coordination-client-error.js";
import { invalidOption } from "../errors/invalid-option.js";
import { priorityFromName, type SignalPriority } from "../signals/signal-priority.js";
import { copyJsonObject } from "./json-copy.js";
import type { OutgoingSignal, Sender, SignalEventInit, SignalOptions } from "./outgoing-signal.js";
import { encodePlainSignal } from "./plain-signal-encoder.js";
import { newRequestId } from "./request-ids.js";
import { maxSignalBytes } from "./send-limits.js";

/** A signal as the bytes of its request. */
export class EncodedSend {
  readonly encoded: Uint8Array;

  constructor(encoded: Uint8Array) {
    this.encoded = encoded;
  }

  /** The same as a message, for those who send messages. Made each time it is asked for. */
  get request(): SendSignalRequest {
    return fromBinary(SendSignalRequestSchema, this.encoded);
  }
}

/**
 * Turns a signal into a request. Throws InvalidRequestError for one that cannot be encoded or is too large: found here, it
 * cannot fail the signals it would travel with.
 */
export function encodeSend(sender: Sender, signal: OutgoingSignal): EncodedSend {
  const encoded = encodePlainSignal(sender, signal) ?? encode(requestFrom(sender, signal));
  if (encoded.length > maxSignalBytes) {
    throw new InvalidRequestError({
      message: `signal is ${encoded.length} bytes, limit is ${maxSignalBytes}`,
      reason: "SIGNAL_TOO_LARGE",
      code: "INVALID_ARGUMENT",
    });
  }
  return new EncodedSend(encoded);
}

function requestFrom(sender: Sender, signal: OutgoingSignal): SendSignalRequest {
  try {
    return create(SendSignalRequestSchema, {
      coordinationId: sender.coordinationId,
      senderAgentId: sender.agentId,
      recipientAgentIds: [...(signal.recipients ?? [])],
      priority: priorityOf(signal.priority),
      correlationId: signal.correlationId ?? "",
      metadata: { ...signal.metadata },
      requestId: requestIdOf(signal),
      ...(signal.expectedSequence !== undefined && { expectedSequence: signal.expectedSequence }),
      event: eventFrom(signal.event),
    });
  } catch (error) {
    throw error instanceof InvalidRequestError ? error : notEncodable(error);
  }
}

// An empty one would mean none, and repeating would store the signal twice.
function requestIdOf({ requestId }: SignalOptions): string {
  if (requestId === "") throw invalidOption("requestId is empty, leave it out to have one made");
  return requestId ?? newRequestId();
}

function priorityOf(name: SignalPriority | undefined): Priority {
  if (name === undefined) return Priority.UNSPECIFIED;
  const priority = priorityFromName(name);
  if (priority === undefined) throw invalidOption(`priority is ${JSON.stringify(name)}, which is no priority`);
  return priority;
}

// Lists are copied and absent fields left out: the generated messages are mutable and tell "absent" from "undefined".
function eventFrom(event: SignalEventInit) {
  switch (event.case) {
    case "agentInitialized": {
      const { capabilities, ...rest } = event.value;
      return { case: event.case, value: { ...present(rest), capabilities: [...(capabilities ?? [])] } };
    }
    case "agentCompleted": {
      const { artifactsGenerated, ...rest } = event.value;
      return { case: event.case, value: { ...present(rest), artifactsGenerated: [...(artifactsGenerated ?? [])] } };
    }
    case "dependencyResolved": {
      const { resolutionData, ...rest } = event.value;
      const data = resolutionData && { resolutionData: copyJsonObject(resolutionData, "resolutionData") };
      return { case: event.case, value: { ...present(rest), ...data } };
    }
    case "interAgentMessage": {
      const { payload, ...rest } = event.value;
      const data = payload && { payload: copyJsonObject(payload, "payload") };
      return { case: event.case, value: { ...present(rest), ...data } };
    }
  }
}

type Present<T> = { [Key in keyof T]: Exclude<T[Key], undefined> };

function present<T extends object>(value: T): Present<T> {
  return Object.fromEntries(Object.entries(value).filter(([, field]) => field !== undefined)) as Present<T>;
}

function encode(request: SendSignalRequest): Uint8Array {
  try {
    return toBinary(SendSignalRequestSchema, request);
  } catch (error) {
    throw notEncodable(error);
  }
}

function notEncodable(cause: unknown): InvalidRequestError {
  const why = cause instanceof Error ? cause.message : String(cause);
  const message = `signal cannot be encoded: ${why}`;
  return new InvalidRequestError({ message, reason: "INVALID_REQUEST", code: "INVALID_ARGUMENT", cause });
}
