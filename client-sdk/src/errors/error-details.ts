import { durationMs } from "@bufbuild/protobuf/wkt";
import type { FieldPathElement, Violation } from "@bufbuild/protovalidate/gen/buf/validate/validate_pb.js";
import type { ErrorInfo, RetryInfo } from "@coordination-signals/proto/google/rpc/error_details";
import type { FieldViolation } from "./coordination-client-error.js";
import type { ErrorFacts } from "./error-from-code.js";

/** The details the contract attaches to an error, decoded. */
export interface ErrorDetails {
  readonly errorInfo: ErrorInfo | undefined;
  readonly retryInfo: RetryInfo | undefined;
  readonly violations: readonly Violation[];
}

/** Reads the parts of an error that its details tell. */
export function factsFromDetails(
  details: ErrorDetails,
): Pick<ErrorFacts, "metadata" | "retryDelayMs" | "violations"> & { readonly reason: string | undefined } {
  const delay = details.retryInfo?.retryDelay;
  return {
    reason: details.errorInfo?.reason,
    metadata: details.errorInfo?.metadata,
    retryDelayMs: delay === undefined ? undefined : durationMs(delay),
    violations: details.violations.map(fieldViolation),
  };
}

function fieldViolation(violation: Violation): FieldViolation {
  return {
    field: (violation.field?.elements ?? []).map(pathElement).join("."),
    rule: violation.ruleId,
    message: violation.message,
  };
}

function pathElement(element: FieldPathElement): string {
  const { subscript } = element;
  if (subscript.case === undefined) return element.fieldName;
  const key = subscript.case === "stringKey" ? JSON.stringify(subscript.value) : String(subscript.value);
  return `${element.fieldName}[${key}]`;
}
