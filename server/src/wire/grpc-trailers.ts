/**
 * What of a response's trailers has to be put right for gRPC clients. The protocol library encodes the message with
 * encodeURIComponent, which clients that decode with decodeURI (grpc-js) show half encoded; and it sends details of any
 * size, while C++ and Python refuse more than 16 KiB of trailers and HTTP/2 itself fails the connection above 64 KiB. A message
 * that is cut is cut in the details, too: Python's grpc-status refuses details whose message is another one.
 */
import { create } from "@bufbuild/protobuf";
import { type Any, anyIs, anyPack, anyUnpack } from "@bufbuild/protobuf/wkt";
import { decodeBinaryHeader, encodeBinaryHeader } from "@connectrpc/connect";
import { ErrorInfoSchema, RetryInfoSchema } from "@coordination-signals/proto/google/rpc/error_details";
import { type Status, StatusSchema } from "@coordination-signals/proto/google/rpc/status";

const messageHeader = "grpc-message";
const detailsHeader = "grpc-status-details-bin";

/** Characters of a message that are sent; whoever needs more puts it into the details. */
const maxMessageCharacters = 1_024;
/** Characters that they may take once they are encoded: a character of Chinese takes nine. */
const maxEncodedMessageCharacters = 3 * 1_024;
/** Encoded size beyond which details are shortened: below the least limit of the common clients, less the message. */
const maxDetailsCharacters = 12 * 1_024;

/** Rewrites the trailers of a gRPC response in place, so that every client can read them. */
export function normalizeGrpcTrailers(trailers: Headers): void {
  const message = decodeURIComponent(trailers.get(messageHeader) ?? "");
  const sent = sentMessage(message);
  if (message !== "") trailers.set(messageHeader, encodeGrpcMessage(message));
  const details = trailers.get(detailsHeader);
  if (details !== null && (details.length > maxDetailsCharacters || sent !== message)) {
    trailers.set(detailsHeader, encodeDetails(decodeBinaryHeader(details, StatusSchema)));
  }
}

/**
 * The details of an error as they are sent. What is larger than every client can read loses the facts of its reason and its
 * violations; the reason itself, and when to repeat the call, stay.
 */
export function encodeDetails(status: Status): string {
  const message = sentMessage(status.message);
  const encoded = encodeBinaryHeader(message === status.message ? status : { ...status, message }, StatusSchema);
  if (encoded.length <= maxDetailsCharacters) return encoded;
  const details = status.details.flatMap(shortDetail);
  return encodeBinaryHeader(create(StatusSchema, { code: status.code, message, details }), StatusSchema);
}

function shortDetail(detail: Any): Any[] {
  if (anyIs(detail, RetryInfoSchema)) return [detail];
  const info = anyUnpack(detail, ErrorInfoSchema);
  if (info === undefined) return [];
  return [anyPack(ErrorInfoSchema, create(ErrorInfoSchema, { reason: info.reason, domain: info.domain }))];
}

/** Percent-encodes a message as the gRPC specification says: UTF-8, all but printable ASCII, and the percent sign. */
export function encodeGrpcMessage(message: string): string {
  return Array.from(sentMessage(message), encodeCharacter).join("");
}

/** As much of a message as is sent. */
function sentMessage(message: string): string {
  let length = 0;
  let encodedLength = 0;
  for (const character of message.slice(0, maxMessageCharacters)) {
    encodedLength += encodeCharacter(character).length;
    if (encodedLength > maxEncodedMessageCharacters) break;
    length += character.length;
  }
  return message.slice(0, length);
}

function encodeCharacter(character: string): string {
  if (character >= " " && character <= "~" && character !== "%") return character;
  const bytes = Array.from(Buffer.from(character, "utf8"));
  return bytes.map((byte) => `%${byte.toString(16).toUpperCase().padStart(2, "0")}`).join("");
}
