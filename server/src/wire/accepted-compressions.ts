import { Code, ConnectError } from "@connectrpc/connect";
import type { Compression } from "@connectrpc/connect/protocol";
import { compressionBrotli, compressionGzip } from "@connectrpc/connect-node";

/** How requests may be compressed, in any protocol. Answers never are: it would hold back streams, and signals are small. */
export const acceptedCompressions: readonly Compression[] = [compressionGzip, compressionBrotli];

const acceptedNames = acceptedCompressions.map(({ name }) => name).join(",");
const maxShownCharacters = 50;

/** What `grpc-encoding` names, if anything. Throws UNIMPLEMENTED, with the names that are known, for any other. */
export function requestCompression(encoding: string | undefined): Compression | undefined {
  if (encoding === undefined || encoding === "identity") return undefined;
  const known = acceptedCompressions.find(({ name }) => name === encoding);
  if (known !== undefined) return known;
  const message = `compression "${encoding.slice(0, maxShownCharacters)}" is unknown, known are ${acceptedNames}`;
  throw new ConnectError(message, Code.Unimplemented, { "grpc-accept-encoding": acceptedNames });
}
