import { hash } from "node:crypto";

const digestBytes = 16;

/** Sixteen bytes that stand for a request's key, where an index had better have short ones of one length. */
export function requestDigest(requestKey: string): Buffer {
  // As text: a buffer of its own takes Node.js longer than the hash.
  return Buffer.from(hash("sha256", requestKey, "binary").slice(0, digestBytes), "latin1");
}
