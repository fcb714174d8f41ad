import { create, createRegistry, type DescMessage, type MessageInitShape, type Registry } from "@bufbuild/protobuf";
import { anyPack, durationFromMs } from "@bufbuild/protobuf/wkt";
import { ViolationsSchema } from "@bufbuild/protovalidate/gen/buf/validate/validate_pb.js";
import { ConnectError } from "@connectrpc/connect";
import { ErrorInfoSchema, RetryInfoSchema } from "@coordination-signals/proto/google/rpc/error_details";
import { type Status, StatusSchema } from "@coordination-signals/proto/google/rpc/status";
import type { CoordinationError } from "../model/coordination-error.js";
import { codeByReason } from "./error-table.js";
import { RequestViolationError } from "./validate-request.js";

/** The domain of every reason. */
const errorDomain = "coordination.v1";

/** The types of all details: whoever writes an answer as JSON has to know them, because a batch's errors carry them. */
export const errorDetailTypes: Registry = createRegistry(ErrorInfoSchema, RetryInfoSchema, ViolationsSchema);

type Detail = { desc: DescMessage; value: MessageInitShape<DescMessage> };

/** The error as a call fails with it: its code, and ErrorInfo, Violations and RetryInfo where they apply. */
export function connectErrorFrom(error: CoordinationError): ConnectError {
  return new ConnectError(error.message, codeByReason[error.reason], undefined, detailsOf(error), error);
}

/** The error as a part of an answer. */
export function statusFrom(error: CoordinationError): Status {
  return create(StatusSchema, {
    code: codeByReason[error.reason],
    message: error.message,
    details: detailsOf(error).map(({ desc, value }) => anyPack(desc, create(desc, value))),
  });
}

function detailsOf(error: CoordinationError): Detail[] {
  const details: Detail[] = [
    { desc: ErrorInfoSchema, value: { reason: error.reason, domain: errorDomain, metadata: { ...error.metadata } } },
  ];
  if (error instanceof RequestViolationError) details.push(error.violationsDetail());
  if (error.retryDelayMs !== undefined) {
    details.push({ desc: RetryInfoSchema, value: { retryDelay: durationFromMs(error.retryDelayMs) } });
  }
  return details;
}
