import { describe, expect, test } from "@jest/globals";
import { ReadDepth } from "../../../../server/src/state/read-depth.js";

describe("ReadDepth", () => {
  test("is that of the deepest read", () => {
    const depth = new ReadDepth();
    expect(depth.deepest).toBe(0);
    for (const each of [3, 7, 5]) depth.noteRead(each);
    expect(depth.deepest).toBe(7);
  });

  test("remembers a read for one to two spans of 16,384 entries", () => {
    const depth = new ReadDepth();
    depth.noteRead(9_000);
    depth.noteAdded(16_383);
    depth.noteAdded(1);
    depth.noteRead(10);
    depth.noteAdded(16_383);
    expect(depth.deepest).toBe(9_000);
    depth.noteAdded(1);
    expect(depth.deepest).toBe(10);
    depth.noteAdded(16_384);
    expect(depth.deepest).toBe(0);
  });
});
