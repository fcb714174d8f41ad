import { create, type MessageInitShape } from "@bufbuild/protobuf";
import {
  type GetSignalHistoryRequest,
  GetSignalHistoryRequestSchema,
  HistoryOrder,
} from "@coordination-signals/proto/coordination/v1/signal_service";
import { describe, expect, test } from "@jest/globals";
import { decodePageToken, encodePageToken, listingOf } from "../../../../server/src/rpc/page-token.js";

type Parts = Exclude<MessageInitShape<typeof GetSignalHistoryRequestSchema>, GetSignalHistoryRequest>;

const listing = (parts: Parts = {}) =>
  listingOf(
    GetSignalHistoryRequestSchema,
    create(GetSignalHistoryRequestSchema, { coordinationId: "c", filter: { senderAgentIds: ["a"] }, ...parts }),
  );

const tokenOf = (json: string): string => Buffer.from(json).toString("base64url");
const notOurs = { reason: "INVALID_PAGE_TOKEN", message: "page_token is not one that this server made" };

describe("a page token", () => {
  test("is the first page when it is empty", () => {
    expect(decodePageToken("", listing(), 2)).toBeUndefined();
  });

  test("gives back the place it was made of", () => {
    const place = ["01890000-0000-7000-8000-000000000001", "18446744073709551615"];
    expect(decodePageToken(encodePageToken(listing(), place), listing(), 2)).toEqual(place);
    expect(decodePageToken(encodePageToken(listing(), ["ü ' \\ \0"]), listing(), 1)).toEqual(["ü ' \\ \0"]);
  });

  test("goes on with another page size, and with the token before it", () => {
    expect(listing({ pageSize: 7, pageToken: "x" })).toBe(listing());
  });

  test.each<[string, Parts]>([
    ["coordination", { coordinationId: "d" }],
    ["filter", { filter: { senderAgentIds: ["b"] } }],
    ["order", { order: HistoryOrder.OLDEST_FIRST }],
  ])("does not go on with another %s", (_, parts) => {
    const token = encodePageToken(listing(), ["1", "2"]);
    expect(() => decodePageToken(token, listing(parts), 2)).toThrow(
      expect.objectContaining({
        reason: "INVALID_PAGE_TOKEN",
        message: "page_token belongs to another request: only page_size may change",
      }),
    );
  });

  test.each([
    ["no base64", "%%%"],
    ["no JSON", tokenOf("hello")],
    ["no list", tokenOf("{}")],
    ["nothing", tokenOf("null")],
    ["another version", tokenOf(`[2,"${listing()}","1","2"]`)],
    ["too little", tokenOf(`[1,"${listing()}","1"]`)],
    ["too much", tokenOf(`[1,"${listing()}","1","2","3"]`)],
  ])("of %s is INVALID_PAGE_TOKEN", (_, token) => {
    expect(() => decodePageToken(token, listing(), 2)).toThrow(expect.objectContaining(notOurs));
  });
});
