import { ViolationsSchema } from "@bufbuild/protovalidate/gen/buf/validate/validate_pb.js";
import { Code, ConnectError } from "@connectrpc/connect";
import { ErrorInfoSchema, RetryInfoSchema } from "@coordination-signals/proto/google/rpc/error_details";
import { isConnectionLoss } from "./connection-loss.js";
import { CoordinationClientError, TimeoutError, UnavailableError } from "./coordination-client-error.js";
import { factsFromDetails } from "./error-details.js";
import { errorFromCode, statusCodeFromNumber } from "./error-from-code.js";

/** Turns whatever a call threw into one of this package's errors; one of them stays as it is. */
export function errorFromConnect(thrown: unknown): CoordinationClientError {
  if (thrown instanceof CoordinationClientError) return thrown;
  const error = ConnectError.from(thrown, Code.Internal);
  const { reason, ...facts } = factsFromDetails({
    errorInfo: error.findDetails(ErrorInfoSchema)[0],
    retryInfo: error.findDetails(RetryInfoSchema)[0],
    violations: error.findDetails(ViolationsSchema)[0]?.violations ?? [],
  });
  if (reason === undefined) return errorWithoutReason(error, facts.retryDelayMs);
  return errorFromCode({
    ...facts,
    message: error.rawMessage,
    reason,
    code: statusCodeFromNumber(error.code),
    cause: error,
  });
}

function errorWithoutReason(error: ConnectError, retryDelayMs: number | undefined): CoordinationClientError {
  if (isConnectionLoss(error)) {
    const message = `connection lost: ${error.rawMessage}`;
    return new UnavailableError({
      message,
      reason: "CONNECTION_LOST",
      code: "UNAVAILABLE",
      retryDelayMs,
      cause: error,
    });
  }
  if (error.code === Code.DeadlineExceeded) {
    const message = error.rawMessage;
    return new TimeoutError({ message, reason: "CALL_TIMEOUT", code: "DEADLINE_EXCEEDED", cause: error });
  }
  const code = statusCodeFromNumber(error.code);
  return errorFromCode({ message: error.rawMessage, reason: "UNKNOWN", code, retryDelayMs, cause: error });
}
