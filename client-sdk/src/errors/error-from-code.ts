import {
  AccessDeniedError,
  AckExpiredError,
  CancelledError,
  ConflictError,
  type CoordinationClientError,
  type CoordinationClientErrorFields,
  DeadlockError,
  DependencyFailedError,
  type FieldViolation,
  InternalError,
  InvalidRequestError,
  NotDeliveredError,
  NotFoundError,
  OutOfRangeError,
  OverloadedError,
  PreconditionError,
  type StatusCode,
  TimeoutError,
  UnavailableError,
} from "./coordination-client-error.js";

/** Everything known about a failure before its class is chosen. */
export interface ErrorFacts extends CoordinationClientErrorFields {
  readonly violations?: readonly FieldViolation[] | undefined;
}

/** Names by number, as the gRPC specification, `google.rpc.Code` and Connect's `Code` assign them. */
const statusCodes: Readonly<Record<number, StatusCode>> = {
  1: "CANCELLED",
  2: "UNKNOWN",
  3: "INVALID_ARGUMENT",
  4: "DEADLINE_EXCEEDED",
  5: "NOT_FOUND",
  6: "ALREADY_EXISTS",
  7: "PERMISSION_DENIED",
  8: "RESOURCE_EXHAUSTED",
  9: "FAILED_PRECONDITION",
  10: "ABORTED",
  11: "OUT_OF_RANGE",
  12: "UNIMPLEMENTED",
  13: "INTERNAL",
  14: "UNAVAILABLE",
  15: "DATA_LOSS",
  16: "UNAUTHENTICATED",
};

/** Names a status code's number; a number that is none is UNKNOWN. */
export function statusCodeFromNumber(code: number): StatusCode {
  return statusCodes[code] ?? "UNKNOWN";
}

/** Makes the error whose class says what the caller can do. */
export function errorFromCode(facts: ErrorFacts): CoordinationClientError {
  switch (facts.code) {
    case "INVALID_ARGUMENT":
      return new InvalidRequestError(facts);
    case "NOT_FOUND":
      return new NotFoundError(facts);
    case "FAILED_PRECONDITION":
      return preconditionError(facts);
    case "ABORTED":
    case "ALREADY_EXISTS":
      return facts.reason === "DEADLOCK" ? new DeadlockError(facts) : new ConflictError(facts);
    case "OUT_OF_RANGE":
      return new OutOfRangeError(facts);
    case "RESOURCE_EXHAUSTED":
      return new OverloadedError(facts);
    case "UNAVAILABLE":
      return new UnavailableError(facts);
    case "DEADLINE_EXCEEDED":
      return new TimeoutError(facts);
    case "CANCELLED":
      return new CancelledError(facts);
    case "UNAUTHENTICATED":
    case "PERMISSION_DENIED":
      return new AccessDeniedError(facts);
    case "UNKNOWN":
    case "UNIMPLEMENTED":
    case "INTERNAL":
    case "DATA_LOSS":
      return new InternalError(facts);
  }
}

function preconditionError(facts: ErrorFacts): PreconditionError {
  switch (facts.reason) {
    case "DEPENDENCY_FAILED":
      return new DependencyFailedError(facts);
    case "ACK_EXPIRED":
      return new AckExpiredError(facts);
    case "NOT_DELIVERED":
      return new NotDeliveredError(facts);
    default:
      return new PreconditionError(facts);
  }
}
