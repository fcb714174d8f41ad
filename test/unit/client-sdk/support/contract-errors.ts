import { create, type MessageInitShape } from "@bufbuild/protobuf";
import { anyPack, durationFromMs } from "@bufbuild/protobuf/wkt";
import { type Code, ConnectError } from "@connectrpc/connect";
import { ErrorInfoSchema, RetryInfoSchema } from "@coordination-signals/proto/google/rpc/error_details";
import { StatusSchema } from "@coordination-signals/proto/google/rpc/status";

/** What an error of the contract carries. */
export interface ContractError {
  readonly code: Code;
  readonly reason: string;
  readonly message?: string;
  readonly metadata?: Record<string, string>;
  readonly retryDelayMs?: number;
}

/** An error as the server throws it. */
export function contractError({ code, reason, message = reason, metadata = {}, retryDelayMs }: ContractError) {
  const info = { desc: ErrorInfoSchema, value: { reason, domain: "coordination.v1", metadata } };
  const retry =
    retryDelayMs === undefined ? [] : [{ desc: RetryInfoSchema, value: { retryDelay: durationFromMs(retryDelayMs) } }];
  return new ConnectError(message, code, undefined, [info, ...retry]);
}

/** The same as one item's status in a batch. */
export function contractStatus(error: ContractError): MessageInitShape<typeof StatusSchema> {
  const info = create(ErrorInfoSchema, {
    reason: error.reason,
    domain: "coordination.v1",
    metadata: error.metadata ?? {},
  });
  const details = [anyPack(ErrorInfoSchema, info)];
  if (error.retryDelayMs !== undefined) {
    details.push(anyPack(RetryInfoSchema, create(RetryInfoSchema, { retryDelay: durationFromMs(error.retryDelayMs) })));
  }
  return create(StatusSchema, { code: error.code, message: error.message ?? error.reason, details });
}
