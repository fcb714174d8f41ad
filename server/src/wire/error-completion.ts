/**
 * Errors that the protocol library raises itself (a message that does not parse, a compression nobody knows) never reach
 * the services' error table. They are completed here, in whichever form their protocol gives them: a malformed binary
 * message is the caller's fault and not INTERNAL, an answer that is too large is not the caller's, and every error carries a
 * `google.rpc.ErrorInfo`.
 */
import { create, toBinary } from "@bufbuild/protobuf";
import { anyPack } from "@bufbuild/protobuf/wkt";
import { Code, ConnectError, encodeBinaryHeader } from "@connectrpc/connect";
import { type ErrorInfo, ErrorInfoSchema } from "@coordination-signals/proto/google/rpc/error_details";
import { StatusSchema } from "@coordination-signals/proto/google/rpc/status";
import { encodeGrpcMessage } from "./grpc-trailers.js";
import { errorDomain, responseTooLarge } from "./wire-refusal.js";

/** An error as JSON in the Connect protocol. */
export interface ConnectErrorJson {
  code?: string;
  message?: string;
  details?: unknown[];
}

/** Is told the reason of each error that was completed. */
export type OnCompleted = (reason: string) => void;

const parseFailure = "parse binary: ";
/** What the library says of an answer that is too large. That is no fault of its request. */
const largeResponse = /^message size (\d+) is larger than configured writeMaxBytes (\d+)$/;

/** Completes the trailers of a gRPC or gRPC-Web response in place. */
export function completeTrailers(trailers: Headers, onCompleted: OnCompleted): void {
  const given = Number(trailers.get("grpc-status") ?? "0");
  if (given === 0 || trailers.has("grpc-status-details-bin")) return;
  const { code, message } = judge(given, decodeURIComponent(trailers.get("grpc-message") ?? ""));
  const reason = reasonOf(code);
  const status = create(StatusSchema, { code, message, details: [anyPack(ErrorInfoSchema, errorInfo(reason))] });
  trailers.set("grpc-status", String(code));
  if (message !== "") trailers.set("grpc-message", encodeGrpcMessage(message));
  trailers.set("grpc-status-details-bin", encodeBinaryHeader(status, StatusSchema));
  onCompleted(reason);
}

/** Completes an error that has no details. */
export function withReason(error: ConnectError, onCompleted: OnCompleted): ConnectError {
  if (error.details.length > 0) return error;
  const { code, message } = judge(error.code, error.rawMessage);
  const reason = reasonOf(code);
  onCompleted(reason);
  const details = [{ desc: ErrorInfoSchema, value: errorInfo(reason) }];
  return new ConnectError(message, code, error.metadata, details, error.cause);
}

/** Completes an error of the Connect protocol in place. */
export function completeConnectError(error: ConnectErrorJson, onCompleted: OnCompleted): void {
  if (error.details !== undefined) return;
  const { code, message } = judge(codeFromName(error.code), error.message ?? "");
  const reason = reasonOf(code);
  const info = errorInfo(reason);
  const value = Buffer.from(toBinary(ErrorInfoSchema, info)).toString("base64").replaceAll("=", "");
  error.code = nameOf(code);
  error.message = message;
  error.details = [{ type: ErrorInfoSchema.typeName, value, debug: { reason, domain: errorDomain } }];
  onCompleted(reason);
}

/** HTTP status of an error in the Connect protocol whose code may have been completed to another one, else the one it has. */
export function httpStatusOf(error: ConnectErrorJson, status: number): number {
  switch (error.code) {
    case nameOf(Code.InvalidArgument):
      return 400;
    case nameOf(Code.Internal):
      return 500;
    default:
      return status;
  }
}

/** Whose fault an error is, and what it is called. */
function judge(code: number, message: string): { readonly code: number; readonly message: string } {
  if (code === Code.Internal && message.startsWith(parseFailure)) return { code: Code.InvalidArgument, message };
  const [, bytes, limitBytes] = largeResponse.exec(message) ?? [];
  if (bytes === undefined) return { code, message };
  return { code: Code.Internal, message: responseTooLarge(Number(bytes), Number(limitBytes)) };
}

function reasonOf(code: number): string {
  switch (code) {
    case Code.InvalidArgument:
      return "INVALID_REQUEST";
    case Code.ResourceExhausted:
      return "REQUEST_TOO_LARGE";
    case Code.DeadlineExceeded:
      return "REQUEST_TIMEOUT";
    default:
      return nameOf(code).toUpperCase();
  }
}

function errorInfo(reason: string): ErrorInfo {
  return create(ErrorInfoSchema, { reason, domain: errorDomain });
}

/** The name of a code in the Connect protocol: `InvalidArgument` is `invalid_argument`. */
function nameOf(code: number): string {
  const name = Code[code] ?? "Unknown";
  return name.replaceAll(/(?<=.)[A-Z]/g, (letter) => `_${letter}`).toLowerCase();
}

function codeFromName(name: string | undefined): number {
  for (let code = Code.Canceled; code <= Code.Unauthenticated; code += 1) if (nameOf(code) === name) return code;
  return Code.Unknown;
}
