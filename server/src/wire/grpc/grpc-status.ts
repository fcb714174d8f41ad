import type { OutgoingHttpHeaders } from "node:http2";
import { create } from "@bufbuild/protobuf";
import { anyPack } from "@bufbuild/protobuf/wkt";
import type { ConnectError } from "@connectrpc/connect";
import { StatusSchema } from "@coordination-signals/proto/google/rpc/status";
import { type OnCompleted, withReason } from "../error-completion.js";
import { encodeDetails, encodeGrpcMessage } from "../grpc-trailers.js";

const ok: OutgoingHttpHeaders = { "grpc-status": "0" };

/** The trailers of a call that succeeded. */
export function successTrailers(added: Headers | undefined): OutgoingHttpHeaders {
  return added === undefined ? ok : { ...Object.fromEntries(added), ...ok };
}

/** The trailers of a call that failed: its code, its message and as many of its details as every client can read. */
export function failureTrailers(
  failure: ConnectError,
  added: Headers | undefined,
  onCompleted: OnCompleted,
): OutgoingHttpHeaders {
  const error = withReason(failure, onCompleted);
  const details = error.details.map((detail) =>
    "desc" in detail
      ? anyPack(detail.desc, create(detail.desc, detail.value))
      : { typeUrl: `type.googleapis.com/${detail.type}`, value: detail.value },
  );
  const status = create(StatusSchema, { code: error.code, message: error.rawMessage, details });
  return {
    ...(added && Object.fromEntries(added)),
    ...Object.fromEntries(error.metadata),
    "grpc-status": String(error.code),
    "grpc-message": encodeGrpcMessage(error.rawMessage),
    "grpc-status-details-bin": encodeDetails(status),
  };
}
