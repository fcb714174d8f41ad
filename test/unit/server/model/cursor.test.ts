import { crc32 } from "node:zlib";
import { describe, expect, test } from "@jest/globals";
import { type Cursor, decodeCursor, encodeCursor } from "../../../../server/src/model/cursor.js";

const epoch = "01890000-0000-7000-8000-0123456789ab";
const cursor: Cursor = { epoch, generation: 3, sequence: 42n };

describe("a cursor", () => {
  test.each<Cursor>([
    cursor,
    { epoch: "", generation: 0, sequence: 0n },
    { epoch, generation: 2 ** 32 - 1, sequence: 2n ** 64n - 1n },
  ])("is what it was after it was encoded: %j", (position) => {
    const text = encodeCursor(position);
    expect(decodeCursor(text)).toEqual(position);
    expect(text).toMatch(/^[A-Za-z0-9_-]{44}$/);
  });

  test("differs for every position", () => {
    const texts = [cursor, { ...cursor, sequence: 43n }, { ...cursor, generation: 4 }, { ...cursor, epoch: "" }].map(
      encodeCursor,
    );
    expect(new Set(texts).size).toBe(4);
  });

  test.each([
    ["nothing", ""],
    ["a word", "hello"],
    ["too little", encodeCursor(cursor).slice(0, -1)],
    ["too much", `${encodeCursor(cursor)}AAAA`],
    ["another alphabet", `${encodeCursor(cursor).slice(0, -1)}=`],
    ["white space", `${encodeCursor(cursor)} `],
    ["other languages", "é".repeat(44)],
  ])("of %s is INVALID_CURSOR", (_, text) => {
    expect(() => decodeCursor(text)).toThrow(
      expect.objectContaining({
        reason: "INVALID_CURSOR",
        message: "cursor cannot be read: it is not of this server's form",
      }),
    );
  });

  test("with any one bit turned is INVALID_CURSOR", () => {
    const bytes = Buffer.from(encodeCursor(cursor), "base64url");
    for (let bit = 0; bit < bytes.length * 8; bit++) {
      const damaged = Buffer.from(bytes);
      damaged[bit >> 3] = (damaged[bit >> 3] ?? 0) ^ (1 << (bit & 7));
      expect(() => decodeCursor(damaged.toString("base64url"))).toThrow(
        expect.objectContaining({ reason: "INVALID_CURSOR", message: "cursor cannot be read: it is damaged" }),
      );
    }
  });

  test("of a later version says which", () => {
    const bytes = Buffer.from(encodeCursor(cursor), "base64url");
    bytes[0] = 2;
    bytes.writeUInt32BE(crc32(bytes.subarray(0, -4)), bytes.length - 4);
    expect(() => decodeCursor(bytes.toString("base64url"))).toThrow(
      "cursor cannot be read: its version is 2, this server knows 1",
    );
  });
});
