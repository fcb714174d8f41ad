import { timestampDate } from "@bufbuild/protobuf/wkt";
import type {
  BatchSendSignalsResult,
  SendSignalResponse,
} from "@coordination-signals/proto/coordination/v1/signal_service";
import { type CoordinationClientError, InternalError } from "../errors/coordination-client-error.js";
import { errorFromStatus } from "../errors/error-from-status.js";

/** Where a signal was stored. It is durable by then. */
export interface SendResult {
  /** The signal's unique name, a UUIDv7. A reply carries it as its correlationId. */
  readonly signalId: string;
  /** The signal's position in its coordination. */
  readonly sequence: bigint;
  /** When the server accepted it. */
  readonly timestamp: Date;
  /** Whether this answers an earlier request with the same requestId. */
  readonly deduplicated: boolean;
  /** The incarnation of the coordination's log. */
  readonly epoch: string;
}

/** What became of one signal: where it was stored, or why it was not. */
export type SendOutcome = SendResult | CoordinationClientError;

/** Reads what a batch's answer says of one of its signals. */
export function sendOutcomeFrom({ result }: BatchSendSignalsResult): SendOutcome {
  if (result.case === "error") return errorFromStatus(result.value);
  if (result.case === undefined) return unexpected("the answer has neither a response nor an error for a signal");
  return placeFrom(result.value);
}

/** Reads where a signal was stored. Throws InternalError. */
export function sendResultFrom(response: SendSignalResponse): SendResult {
  const outcome = placeFrom(response);
  if (outcome instanceof InternalError) throw outcome;
  return outcome;
}

function placeFrom(response: SendSignalResponse): SendResult | InternalError {
  const { signalId, sequence, timestamp, deduplicated, epoch } = response;
  if (timestamp === undefined) return unexpected("the answer to a send has no timestamp");
  return { signalId, sequence, timestamp: timestampDate(timestamp), deduplicated, epoch };
}

function unexpected(message: string): InternalError {
  return new InternalError({ message, reason: "UNEXPECTED_RESPONSE", code: "INTERNAL" });
}
