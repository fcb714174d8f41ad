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

  test("leaves behind details that would be refused with the whole answer", () => {
    const trailers = new Headers({ "grpc-status": "3", "grpc-status-details-bin": "A".repeat(12_289) });
    normalizeGrpcTrailers(trailers);
    expect(Object.fromEntries(trailers)).toEqual({ "grpc-status": "3" });
  });
});
