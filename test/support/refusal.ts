import { durationMs } from "@bufbuild/protobuf/wkt";
import { ViolationsSchema } from "@bufbuild/protovalidate/gen/buf/validate/validate_pb.js";
import { Code, ConnectError } from "@connectrpc/connect";
import { ErrorInfoSchema, RetryInfoSchema } from "@coordination-signals/proto/google/rpc/error_details";
import type { Status } from "@coordination-signals/proto/google/rpc/status";

/** What an error says, from its code and its details; a detail it does not have is undefined. */
export interface Refusal {
  /** Name of the code as in Connect's `Code`, for example `InvalidArgument`. */
  readonly code: string;
  readonly reason: string | undefined;
  readonly domain: string | undefined;
  readonly message: string;
  readonly metadata: Readonly<Record<string, string>>;
  readonly retryDelayMs: number | undefined;
  /** The fields that broke a rule, dotted, in the order of the error. */
  readonly violatedFields: readonly string[] | undefined;
}

/** Waits for a call to be refused and reads why. Fails when it is not. */
export async function refusalOf(call: Promise<unknown>): Promise<Refusal> {
  const outcome = await call.then(
    () => undefined,
    (error: unknown) => ({ error }),
  );
  if (outcome === undefined) throw new Error("the call was not refused");
  return refusalFrom(outcome.error);
}

/** Reads why a call was refused. */
export function refusalFrom(error: unknown): Refusal {
  if (!(error instanceof ConnectError)) throw error;
  const [info] = error.findDetails(ErrorInfoSchema);
  const [retry] = error.findDetails(RetryInfoSchema);
  const [violations] = error.findDetails(ViolationsSchema);
  return {
    code: Code[error.code] ?? "",
    reason: info?.reason,
    domain: info?.domain,
    message: error.rawMessage,
    metadata: info?.metadata ?? {},
    retryDelayMs: retry?.retryDelay && durationMs(retry.retryDelay),
    violatedFields: violations?.violations.map(({ field }) => fieldNames(field?.elements)),
  };
}

/** Reads why one item of a batch was refused. */
export function refusalFromStatus({ code, message, details }: Status): Refusal {
  const error = new ConnectError(message, code);
  error.details = details.map(({ typeUrl, value }) => ({ type: typeUrl.slice(typeUrl.lastIndexOf("/") + 1), value }));
  return refusalFrom(error);
}

function fieldNames(elements: readonly { readonly fieldName: string }[] = []): string {
  return elements.map(({ fieldName }) => fieldName).join(".");
}
