import { describe, expect, test } from "@jest/globals";
import fc from "fast-check";
import { MessageAssembler } from "../../../../server/src/wire/message-assembler.js";
import { RequestMemory } from "../../../../server/src/wire/request-memory.js";
import { envelope } from "../../../support/raw-http2.js";

const maxMessageBytes = 1_000;

function assembler({ enveloped = true, limitBytes = 100_000 } = {}) {
  const memory = new RequestMemory(limitBytes);
  return { memory, assembler: new MessageAssembler({ enveloped, maxMessageBytes, memory }) };
}

/** Cuts bytes at the given places. */
function cut(bytes: Buffer, places: readonly number[]): Buffer[] {
  const ends = [...places.map((place) => place % (bytes.byteLength + 1)), bytes.byteLength].sort((a, b) => a - b);
  return ends.map((end, index) => bytes.subarray(ends[index - 1] ?? 0, end));
}

function refusalOf(run: () => unknown): { readonly reason?: unknown; readonly message?: unknown } {
  try {
    run();
  } catch (error) {
    return error as object;
  }
  return {};
}

describe("MessageAssembler of envelopes", () => {
  test("passes whole envelopes on without a copy", () => {
    const { assembler: whole, memory } = assembler();
    const piece = Buffer.concat([envelope(Buffer.from("one")), envelope(Buffer.from("two"))]);
    const [chunk] = whole.push(piece);
    expect([chunk?.buffer, chunk?.byteOffset, chunk?.byteLength]).toEqual([
      piece.buffer,
      piece.byteOffset,
      piece.byteLength,
    ]);
    expect(memory.heldBytes).toBe(0);
  });

  test("gives the same bytes however they are cut, in chunks that end where an envelope ends", () => {
    const messages = fc.array(fc.uint8Array({ maxLength: 60 }), { maxLength: 8 });
    fc.assert(
      fc.property(messages, fc.array(fc.nat(), { maxLength: 12 }), (contents, places) => {
        const envelopes = contents.map((content) => envelope(Buffer.from(content)));
        const bytes = Buffer.concat(envelopes);
        const { assembler: cutUp, memory } = assembler();
        const chunks = cut(bytes, places).flatMap((piece) => cutUp.push(piece).map((chunk) => Buffer.from(chunk)));
        expect(Buffer.concat(chunks).equals(bytes)).toBe(true);
        const ends = envelopes.map((_, index) => Buffer.concat(envelopes.slice(0, index + 1)).byteLength);
        const chunkEnds = chunks.map((_, index) => Buffer.concat(chunks.slice(0, index + 1)).byteLength);
        expect(ends).toEqual(expect.arrayContaining(chunkEnds));
        expect(cutUp.finish()).toBeUndefined();
        expect(memory.heldBytes).toBe(0);
      }),
    );
  });

  test("gives the part of an envelope that was cut off at the end", () => {
    const { assembler: cutOff } = assembler();
    expect(cutOff.push(envelope(Buffer.from("message")).subarray(0, 7))).toEqual([]);
    expect(Buffer.from(cutOff.finish() ?? []).toString("latin1")).toBe("\0\0\0\0\x07me");
  });

  test("holds what has arrived, not what is claimed", () => {
    const { assembler: claiming, memory } = assembler();
    claiming.push(Buffer.from([0, 0, 0, 0x03, 0xe8]));
    expect(memory.heldBytes).toBeLessThanOrEqual(256);
    claiming.push(Buffer.alloc(500));
    expect(memory.heldBytes).toBeLessThanOrEqual(2 * 505);
    claiming.clear();
    expect(memory.heldBytes).toBe(0);
  });

  test.each([
    ["in one piece", [Buffer.from([0, 0, 0, 0x03, 0xe9])]],
    ["in a header of two pieces", [Buffer.from([0, 0, 0]), Buffer.from([0x03, 0xe9])]],
    ["of the largest number", [Buffer.from([0, 0xff, 0xff, 0xff, 0xff])]],
  ])("refuses a claim of too much %s", (_name, pieces) => {
    const { assembler: claiming } = assembler();
    expect(refusalOf(() => pieces.map((piece) => claiming.push(piece)))).toMatchObject({
      reason: "REQUEST_TOO_LARGE",
      message: expect.stringMatching(/^request is (1001|4294967295) bytes, limit is 1000$/),
    });
  });

  test("accepts a message of exactly the limit", () => {
    const { assembler: full } = assembler();
    expect(full.push(envelope(Buffer.alloc(maxMessageBytes)))).toHaveLength(1);
  });

  test("refuses a message in too many pieces, and counts anew with each message", () => {
    const { assembler: small } = assembler();
    const message = envelope(Buffer.alloc(500));
    for (let round = 0; round < 3; round += 1) for (const byte of message) small.push(Buffer.from([byte]));
    small.push(Buffer.from([0, 0, 0, 0x03, 0xe8]));
    let pieces = 0;
    const refusal = refusalOf(() => {
      for (; pieces < 10_000; pieces += 1) small.push(Buffer.alloc(0));
    });
    expect(refusal).toMatchObject({ reason: "INVALID_REQUEST" });
    expect(pieces).toBeLessThan(1_100);
  });

  test("refuses more when the memory for unfinished requests is used up", () => {
    const { assembler: last, memory } = assembler({ limitBytes: 300 });
    last.push(Buffer.from([0, 0, 0, 0x03, 0xe8]));
    expect(refusalOf(() => last.push(Buffer.alloc(400)))).toMatchObject({
      reason: "RATE_LIMITED",
      message: "unfinished requests of all clients hold their limit of 300 bytes",
    });
    expect(memory.heldBytes).toBe(256);
  });
});

describe("MessageAssembler of one message", () => {
  test("gives the whole body at its end", () => {
    const { assembler: whole } = assembler({ enveloped: false });
    expect([...whole.push(Buffer.from("one ")), ...whole.push(Buffer.from("two"))]).toEqual([]);
    expect(Buffer.from(whole.finish() ?? []).toString()).toBe("one two");
    expect(whole.finish()).toBeUndefined();
  });

  test("refuses a body that grows beyond the limit", () => {
    const { assembler: growing } = assembler({ enveloped: false });
    growing.push(Buffer.alloc(600));
    expect(refusalOf(() => growing.push(Buffer.alloc(401)))).toMatchObject({
      reason: "REQUEST_TOO_LARGE",
      message: "request is 1001 bytes, limit is 1000",
    });
  });
});
