import type { Message } from "@bufbuild/protobuf";
import { fromBinary } from "@bufbuild/protobuf";
import type { GenMessage } from "@bufbuild/protobuf/codegenv2";
import { type Any, anyIs } from "@bufbuild/protobuf/wkt";
import { ViolationsSchema } from "@bufbuild/protovalidate/gen/buf/validate/validate_pb.js";
import { ErrorInfoSchema, RetryInfoSchema } from "@coordination-signals/proto/google/rpc/error_details";
import type { Status } from "@coordination-signals/proto/google/rpc/status";
import type { CoordinationClientError } from "./coordination-client-error.js";
import { factsFromDetails } from "./error-details.js";
import { errorFromCode, statusCodeFromNumber } from "./error-from-code.js";

/** Makes the error for one item of a batch that was refused. */
export function errorFromStatus(status: Status): CoordinationClientError {
  const { reason, ...facts } = factsFromDetails({
    errorInfo: findDetail(status.details, ErrorInfoSchema),
    retryInfo: findDetail(status.details, RetryInfoSchema),
    violations: findDetail(status.details, ViolationsSchema)?.violations ?? [],
  });
  return errorFromCode({
    ...facts,
    message: status.message,
    reason: reason ?? "UNKNOWN",
    code: statusCodeFromNumber(status.code),
  });
}

function findDetail<T extends Message>(details: readonly Any[], schema: GenMessage<T>): T | undefined {
  const detail = details.find((any) => anyIs(any, schema));
  if (detail === undefined) return undefined;
  try {
    return fromBinary(schema, detail.value) as T;
  } catch {
    // A detail that cannot be read must not hide the error it belongs to.
    return undefined;
  }
}
