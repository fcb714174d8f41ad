import { describe, expect, test } from "@jest/globals";
import { redactedUrl } from "../../../../server/src/store/redacted-url.js";

describe("redactedUrl", () => {
  test.each([
    ["memory:", "memory:"],
    ["lmdb:/var/lib/signals@home", "lmdb:/var/lib/signals@home"],
    ["postgres://host/db", "postgres://host/db"],
    ["postgres://me@host:5432/db", "postgres://me@host:5432/db"],
    ["postgres://me:secret@host:5432/db", "postgres://me@host:5432/db"],
    ["postgresql://me:s@cr:et/?#@host/db?sslmode=verify-full", "postgresql://me@host/db"],
    ["postgres://:secret@host/db", "postgres://@host/db"],
    ["postgres://host/db?user=me&password=secret", "postgres://host/db"],
    ["postgres:///db?host=/var/run/postgresql", "postgres:///db"],
  ])("shows %s as %s", (url, shown) => {
    expect(redactedUrl(url)).toBe(shown);
  });
});
