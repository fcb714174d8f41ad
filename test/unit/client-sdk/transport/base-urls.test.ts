import { describe, expect, test } from "@jest/globals";
import * as browser from "../../../../client-sdk/src/browser.js";
import { createCoordinationClient, InvalidRequestError } from "../../../../client-sdk/src/index.js";
import { baseUrlsFrom } from "../../../../client-sdk/src/transport/base-urls.js";

const many = Array.from({ length: 101 }, (_, index) => `http://replica-${index}:50051`);

describe("baseUrlsFrom", () => {
  test("lists the one address, or all", () => {
    expect(baseUrlsFrom({ baseUrl: "http://a:1" })).toEqual(["http://a:1"]);
    expect(baseUrlsFrom({ baseUrls: ["http://a:1", "http://a:2", "http://b:1"] })).toHaveLength(3);
    expect(baseUrlsFrom({ baseUrls: many.slice(1) })).toHaveLength(100);
    expect(baseUrlsFrom({ baseUrls: ["/a", "/b"] })).toEqual(["/a", "/b"]);
  });

  test.each<[string, object, string]>([
    ["neither option", {}, "neither baseUrl nor baseUrls is given, give one"],
    ["both", { baseUrl: "http://a:1", baseUrls: ["http://b:1"] }, "baseUrl and baseUrls are both given, give one"],
    ["an empty list", { baseUrls: [] }, "baseUrls is empty, it must have at least 1 address"],
    ["too long a list", { baseUrls: many }, "baseUrls has 101 addresses, limit is 100"],
    ["duplicates", { baseUrls: ["http://a:1", "http://b:1", "http://a:1"] }, 'baseUrls names "http://a:1" twice'],
    ["duplicates in disguise", { baseUrls: ["http://a:80", "http://A/"] }, 'baseUrls names "http://A/" twice'],
    ["relative duplicates", { baseUrls: ["/a", "/a/"] }, 'baseUrls names "/a/" twice'],
  ])("refuses %s", (_, options, message) => {
    expect(() => baseUrlsFrom(options)).toThrow(InvalidRequestError);
    expect(() => baseUrlsFrom(options)).toThrow(expect.objectContaining({ message, reason: "INVALID_REQUEST" }));
  });

  test.each([createCoordinationClient, browser.createCoordinationClient])("is asked by both entries", (create) => {
    expect(() => create({ baseUrls: [] })).toThrow(InvalidRequestError);
  });
});
