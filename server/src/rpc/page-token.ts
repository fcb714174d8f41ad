import { createHash } from "node:crypto";
import { type DescMessage, type MessageShape, toBinary } from "@bufbuild/protobuf";
import { CoordinationError } from "../model/coordination-error.js";

const version = 1;

/** What distinguishes one listing from another: a request without its page token and size (AIP-158). */
export function listingOf<Desc extends DescMessage>(schema: Desc, request: MessageShape<Desc>): string {
  const bytes = toBinary(schema, { ...request, pageToken: "", pageSize: 0 });
  return createHash("sha256").update(schema.typeName).update(bytes).digest("base64url").slice(0, 16);
}

/** Makes a token that continues a listing from a place. */
export function encodePageToken(listing: string, place: readonly string[]): string {
  return Buffer.from(JSON.stringify([version, listing, ...place])).toString("base64url");
}

/** The place a token continues from; undefined for the first page. Throws INVALID_PAGE_TOKEN. */
export function decodePageToken(token: string, listing: string, placeLength: number): readonly string[] | undefined {
  if (token === "") return undefined;
  const parts = parse(token);
  if (parts === undefined || parts.length !== 2 + placeLength || parts[0] !== version) {
    throw new CoordinationError("INVALID_PAGE_TOKEN", "page_token is not one that this server made");
  }
  if (parts[1] !== listing) {
    throw new CoordinationError(
      "INVALID_PAGE_TOKEN",
      "page_token belongs to another request: only page_size may change",
    );
  }
  return parts.slice(2).map(String);
}

function parse(token: string): readonly unknown[] | undefined {
  try {
    const parsed: unknown = JSON.parse(Buffer.from(token, "base64url").toString());
    return Array.isArray(parsed) ? parsed : undefined;
  } catch (error) {
    if (error instanceof SyntaxError) return undefined;
    throw error;
  }
}
