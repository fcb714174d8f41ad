import { describe, expect, test } from "@jest/globals";
import { shortenDeadline } from "../../../../server/src/wire/call-deadline.js";

describe("shortenDeadline", () => {
  test.each([
    ["grpc-timeout", "99999999H", "3600S"],
    ["grpc-timeout", "61M", "3600S"],
    ["grpc-timeout", "60M", "60M"],
    ["grpc-timeout", "3600000m", "3600000m"],
    ["grpc-timeout", "3600001m", "3600S"],
    ["grpc-timeout", "99999999u", "99999999u"],
    ["grpc-timeout", "99999999n", "99999999n"],
    ["grpc-timeout", "nonsense", "nonsense"],
    ["grpc-timeout", "9e9S", "3600S"],
    ["connect-timeout-ms", "9999999999", "3600000"],
    ["connect-timeout-ms", "3600000", "3600000"],
    ["connect-timeout-ms", "1000", "1000"],
    ["connect-timeout-ms", "nonsense", "nonsense"],
  ])("of an hour makes %s %s to %s", (name, given, expected) => {
    const headers = new Headers({ [name]: given });
    shortenDeadline(headers, 3_600_000);
    expect(headers.get(name)).toBe(expected);
  });

  test("adds none", () => {
    const headers = new Headers();
    shortenDeadline(headers, 1_000);
    expect([...headers]).toEqual([]);
  });
});
