import { create } from "@bufbuild/protobuf";
import { anyPack, anyUnpack } from "@bufbuild/protobuf/wkt";
import { decodeBinaryHeader, encodeBinaryHeader } from "@connectrpc/connect";
import { ErrorInfoSchema, RetryInfoSchema } from "@coordination-signals/proto/google/rpc/error_details";
import { StatusSchema } from "@coordination-signals/proto/google/rpc/status";
import { describe, expect, test } from "@jest/globals";
import fc from "fast-check";
import { encodeGrpcMessage, normalizeGrpcTrailers } from "../../../../server/src/wire/grpc-trailers.js";

describe("encodeGrpcMessage", () => {
  test("leaves printable ASCII as it is, but for the percent sign", () => {
    expect(encodeGrpcMessage('signal "a", 100 % of [b] & c')).toBe('signal "a", 100 %25 of [b] & c');
  });

  test("encodes control and other characters as UTF-8 bytes", () => {
    expect(encodeGrpcMessage("a\nä\u{1f600}")).toBe("a%0A%C3%A4%F0%9F%98%80");
  });

  test("is undone by both ways in which clients decode", () => {
    // grpc-js decodes with decodeURI, which leaves encoded what stands for a reserved character: so none may be encoded.
    const message = fc.string({ unit: "binary", maxLength: 100 });
    fc.assert(
      fc.property(message, (text) => {
        expect(decodeURIComponent(encodeGrpcMessage(text))).toBe(text);
        expect(decodeURI(encodeGrpcMessage(text))).toBe(text);
      }),
    );
  });

  test("keeps the first 1,024 characters", () => {
    expect(encodeGrpcMessage("x".repeat(2_000))).toHaveLength(1_024);
  });

  test("keeps fewer characters, all of them whole, where they take much room", () => {
    const encoded = encodeGrpcMessage("错".repeat(1_024));
    expect(encoded.length).toBeLessThanOrEqual(3_072);
    expect(decodeURIComponent(encoded)).toMatch(/^错+$/);
  });
});

describe("normalizeGrpcTrailers", () => {
  test("encodes the message as gRPC does and keeps the rest", () => {
    const trailers = new Headers({
      "grpc-status": "5",
      "grpc-message": "a%2C%20b%20%C3%A4",
      "grpc-status-details-bin": "AAAA",
    });
    normalizeGrpcTrailers(trailers);
    expect(Object.fromEntries(trailers)).toEqual({
      "grpc-status": "5",
      "grpc-message": "a, b %C3%A4",
      "grpc-status-details-bin": "AAAA",
    });
  });

  test("cuts the message of the details where the call's is cut, for Python refuses details with another one", () => {
    for (const message of ["x".repeat(2_000), "错".repeat(1_000)]) {
      const status = create(StatusSchema, {
        code: 4,
        message,
        details: [anyPack(ErrorInfoSchema, create(ErrorInfoSchema))],
      });
      const details = encodeBinaryHeader(status, StatusSchema);
      const trailers = new Headers({ "grpc-message": encodeURIComponent(message), "grpc-status-details-bin": details });
      normalizeGrpcTrailers(trailers);
      const sent = decodeBinaryHeader(trailers.get("grpc-status-details-bin") ?? "", StatusSchema);
      expect(sent.message).toBe(decodeURIComponent(trailers.get("grpc-message") ?? ""));
      expect(sent.message.length).toBeLessThan(message.length);
      expect(sent.details).toHaveLength(1);
    }
  });

  test("takes the facts from an error that would be refused with the whole answer, and leaves its reason", () => {
    const metadata = { path: "x".repeat(10_000) };
    const details = [
      anyPack(ErrorInfoSchema, create(ErrorInfoSchema, { reason: "DEADLOCK", domain: "coordination.v1", metadata })),
      anyPack(RetryInfoSchema, create(RetryInfoSchema, { retryDelay: { seconds: 1n } })),
      anyPack(StatusSchema, create(StatusSchema, { message: "something else" })),
    ];
    const status = create(StatusSchema, { code: 10, message: "y".repeat(10_000), details });
    const encoded = encodeBinaryHeader(status, StatusSchema);
    const trailers = new Headers({ "grpc-status": "10", "grpc-status-details-bin": encoded });
    normalizeGrpcTrailers(trailers);
    const sent = decodeBinaryHeader(trailers.get("grpc-status-details-bin") ?? "", StatusSchema);
    expect(sent).toMatchObject({ code: 10, message: "y".repeat(1_024) });
    const [info, retry, ...others] = sent.details;
    expect(info && anyUnpack(info, ErrorInfoSchema)).toMatchObject({
      reason: "DEADLOCK",
      domain: "coordination.v1",
      metadata: {},
    });
    expect(retry && anyUnpack(retry, RetryInfoSchema)).toMatchObject({ retryDelay: { seconds: 1n } });
    expect(others).toEqual([]);
  });
});
