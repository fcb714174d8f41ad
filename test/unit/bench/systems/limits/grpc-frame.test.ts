import { describe, expect, test } from "@jest/globals";
import { FrameReader, frameOf } from "../../../../bench/src/systems/limits/grpc-frame.js";

const messages = ["", "a", "signal".repeat(100), "b"];
const bytes = Buffer.concat(messages.map((message) => frameOf(Buffer.from(message))));

/** What is read when the bytes come in pieces of this size. */
function readInPieces(size: number): readonly string[] {
  const read: string[] = [];
  const reader = new FrameReader(1_000, (message) => read.push(message.toString()));
  for (let position = 0; position < bytes.length; position += size) {
    reader.read(bytes.subarray(position, position + size));
  }
  return read;
}

describe("FrameReader", () => {
  test.each([1, 2, 5, 6, 7, 100, 10_000])("finds every message in pieces of %i bytes", (size) => {
    expect(readInPieces(size)).toEqual(messages);
  });

  test("refuses a message above its limit", () => {
    const reader = new FrameReader(3, () => {});
    expect(() => reader.read(frameOf(Buffer.from("four")))).toThrow("message is 4 bytes, limit is 3");
  });
});
