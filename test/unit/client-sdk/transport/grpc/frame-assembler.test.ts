import { Code } from "@connectrpc/connect";
import { describe, expect, test } from "@jest/globals";
import { FrameAssembler } from "../../../../../client-sdk/src/transport/grpc/frame-assembler.js";
import { grpcFrame } from "../../../../../client-sdk/src/transport/grpc/grpc-frame.js";

const messages = ["", "a", "bb", "x".repeat(300)];
const stream = Buffer.concat(messages.map((message) => grpcFrame(Buffer.from(message))));

function assemble() {
  const found: string[] = [];
  return { found, assembler: new FrameAssembler(1_000, { onMessage: (message) => found.push(message.toString()) }) };
}

describe("FrameAssembler", () => {
  test.each([1, 2, 3, 7, 100, stream.length])("finds the messages in pieces of %i bytes", (size) => {
    const { found, assembler } = assemble();
    for (let at = 0; at < stream.length; at += size) assembler.push(stream.subarray(at, at + size));
    expect(found).toEqual(messages);
    expect(assembler.isInside).toBe(false);
  });

  test("tells of the first bytes of a message that comes in pieces", () => {
    const begun: string[] = [];
    const assembler = new FrameAssembler(1_000, {
      onMessage: () => undefined,
      onBegin: (bytes) => begun.push(bytes.toString()),
    });
    const frame = grpcFrame(Buffer.from("message"));
    assembler.push(Buffer.concat([frame, frame.subarray(0, 8)]));
    assembler.push(Buffer.from(frame.subarray(8, 10)));
    assembler.push(Buffer.concat([frame.subarray(10), frame.subarray(0, 5)]));
    assembler.push(Buffer.from(frame.subarray(5)));
    expect(begun).toEqual(["mes"]);
  });

  test("knows that a message is not complete", () => {
    const { found, assembler } = assemble();
    assembler.push(stream.subarray(0, stream.length - 1));
    expect(found).toEqual(messages.slice(0, -1));
    expect(assembler.isInside).toBe(true);
  });

  test.each<[string, Buffer, Code]>([
    ["compressed", Buffer.of(1, 0, 0, 0, 0), Code.Internal],
    ["larger than the limit", Buffer.of(0, 0, 0, 4, 0), Code.ResourceExhausted],
  ])("refuses a message that is %s", (_, bytes, code) => {
    const { assembler } = assemble();
    let error: unknown;
    try {
      assembler.push(bytes);
    } catch (thrown) {
      error = thrown;
    }
    expect(error).toMatchObject({ code });
  });
});
