/**
 * What of a response's trailers has to be put right for gRPC clients. The protocol library encodes the message with
 * encodeURIComponent, which clients that decode with decodeURI (grpc-js) show half encoded; and it sends details of any
 * size, while C++ and Python refuse more than 16 KiB of trailers and HTTP/2 itself fails the connection above 64 KiB.
 */

const messageHeader = "grpc-message";
const detailsHeader = "grpc-status-details-bin";

/** Characters of a message that are sent; whoever needs more puts it into the details. */
const maxMessageCharacters = 1_024;
/** Encoded size beyond which the details stay behind: below the least limit of the common clients, less the message. */
const maxDetailsCharacters = 12 * 1_024;

/** Rewrites the trailers of a gRPC response in place, so that every client can read them. */
export function normalizeGrpcTrailers(trailers: Headers): void {
  const message = trailers.get(messageHeader);
  if (message !== null) trailers.set(messageHeader, encodeGrpcMessage(decodeURIComponent(message)));
  const details = trailers.get(detailsHeader);
  if (details !== null && fitDetails(details) === undefined) trailers.delete(detailsHeader);
}

/** The encoded details of an error as they are sent: undefined when they are larger than every client can read. */
export function fitDetails(encoded: string): string | undefined {
  return encoded.length > maxDetailsCharacters ? undefined : encoded;
}

/** Percent-encodes a message as the gRPC specification says: UTF-8, all but printable ASCII, and the percent sign. */
export function encodeGrpcMessage(message: string): string {
  let encoded = "";
  for (const byte of Buffer.from(message.slice(0, maxMessageCharacters), "utf8")) {
    const isPlain = byte >= 0x20 && byte <= 0x7e && byte !== 0x25;
    encoded += isPlain ? String.fromCharCode(byte) : `%${byte.toString(16).toUpperCase().padStart(2, "0")}`;
  }
  return encoded;
}
