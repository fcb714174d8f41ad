import { fromBinary } from "@bufbuild/protobuf";
import { anyUnpack } from "@bufbuild/protobuf/wkt";
import { decodeBinaryHeader } from "@connectrpc/connect";
import { ErrorInfoSchema } from "@coordination-signals/proto/google/rpc/error_details";
import { StatusSchema } from "@coordination-signals/proto/google/rpc/status";
import { describe, expect, test } from "@jest/globals";
import {
  type ConnectErrorJson,
  completeConnectError,
  completeTrailers,
  httpStatusOf,
} from "../../../../server/src/wire/error-completion.js";

function complete(trailers: Record<string, string>) {
  const headers = new Headers(trailers);
  const reasons: string[] = [];
  completeTrailers(headers, (reason) => reasons.push(reason));
  const details = headers.get("grpc-status-details-bin");
  const status = details === null || details === "given" ? undefined : decodeBinaryHeader(details, StatusSchema);
  const [detail] = status?.details ?? [];
  return { headers, reasons, status, info: detail === undefined ? undefined : anyUnpack(detail, ErrorInfoSchema) };
}

describe("completeTrailers", () => {
  test("adds code, message and reason as details", () => {
    const { status, info, reasons } = complete({ "grpc-status": "3", "grpc-message": "bad%20%C3%A4" });
    expect(status).toMatchObject({ code: 3, message: "bad ä" });
    expect(info).toMatchObject({ reason: "INVALID_REQUEST", domain: "coordination.v1" });
    expect(reasons).toEqual(["INVALID_REQUEST"]);
  });

  test("makes a binary message that does not parse the caller's fault", () => {
    const { status, headers } = complete({
      "grpc-status": "13",
      "grpc-message": "parse%20binary%3A%20premature%20EOF",
    });
    expect([status?.code, headers.get("grpc-status")]).toEqual([3, "3"]);
  });

  test("does not blame the request for an answer that is too large", () => {
    const text = "message%20size%205000000%20is%20larger%20than%20configured%20writeMaxBytes%204194304";
    const { headers, status, info } = complete({ "grpc-status": "8", "grpc-message": text });
    expect(status).toMatchObject({ code: 13, message: "response is 5000000 bytes, limit is 4194304" });
    expect(info).toMatchObject({ reason: "INTERNAL" });
    expect(headers.get("grpc-message")).toBe("response is 5000000 bytes, limit is 4194304");
  });

  test.each([
    ["1", "CANCELED"],
    ["4", "REQUEST_TIMEOUT"],
    ["8", "REQUEST_TOO_LARGE"],
    ["12", "UNIMPLEMENTED"],
    ["13", "INTERNAL"],
    ["99", "UNKNOWN"],
  ])("gives code %s the reason %s", (code, reason) => {
    expect(complete({ "grpc-status": code }).reasons).toEqual([reason]);
  });

  test("leaves success and what has details as they are", () => {
    expect([...complete({ "grpc-status": "0" }).headers]).toEqual([["grpc-status", "0"]]);
    const given = complete({ "grpc-status": "3", "grpc-status-details-bin": "given" });
    expect([given.headers.get("grpc-status-details-bin"), given.reasons]).toEqual(["given", []]);
  });
});

describe("completeConnectError", () => {
  test("adds the reason as a detail that clients decode", () => {
    const error: ConnectErrorJson = { code: "invalid_argument", message: "bad" };
    completeConnectError(error, () => {});
    const [detail] = error.details as { type: string; value: string; debug: object }[];
    expect(detail).toMatchObject({
      type: "google.rpc.ErrorInfo",
      debug: { reason: "INVALID_REQUEST", domain: "coordination.v1" },
    });
    expect(fromBinary(ErrorInfoSchema, Buffer.from(detail?.value ?? "", "base64"))).toMatchObject({
      reason: "INVALID_REQUEST",
    });
  });

  test("makes a binary message that does not parse the caller's fault, in the status of HTTP too", () => {
    const error: ConnectErrorJson = { code: "internal", message: "parse binary: premature EOF" };
    completeConnectError(error, () => {});
    expect([error.code, httpStatusOf(error, 500)]).toEqual(["invalid_argument", 400]);
  });

  test("does not blame the request for an answer that is too large, in the status of HTTP too", () => {
    const message = "message size 5000000 is larger than configured writeMaxBytes 4194304";
    const error: ConnectErrorJson = { code: "resource_exhausted", message };
    completeConnectError(error, () => {});
    expect(error).toMatchObject({ code: "internal", message: "response is 5000000 bytes, limit is 4194304" });
    expect(httpStatusOf(error, 429)).toBe(500);
  });

  test("leaves an error with details as it is", () => {
    const error: ConnectErrorJson = { code: "not_found", details: [] };
    completeConnectError(error, () => {
      throw new Error("was completed");
    });
    expect([error, httpStatusOf(error, 404)]).toEqual([{ code: "not_found", details: [] }, 404]);
  });

  test("takes a code that nobody knows as unknown", () => {
    const error: ConnectErrorJson = {};
    completeConnectError(error, () => {});
    expect(error.code).toBe("unknown");
  });
});
