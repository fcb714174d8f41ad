import { describe, expect, test } from "@jest/globals";
import { DraftMap } from "../../../../server/src/state/draft-map.js";

const base = () =>
  new Map([
    ["a", 1],
    ["b", 2],
    ["c", 3],
  ]);

describe("DraftMap", () => {
  test("reads as it will be, and leaves the map as it is", () => {
    const map = base();
    const draft = new DraftMap(map);
    draft.set("b", undefined);
    draft.set("a", 10);
    draft.set("d", 4);
    expect([...draft.entries()]).toEqual([
      ["c", 3],
      ["a", 10],
      ["d", 4],
    ]);
    expect([draft.get("a"), draft.get("b"), draft.get("c"), draft.get("e")]).toEqual([10, undefined, 3, undefined]);
    expect([draft.has("b"), draft.has("d")]).toEqual([false, true]);
    expect(map).toEqual(base());
    expect(draft.changes).toEqual(
      new Map([
        ["b", undefined],
        ["a", 10],
        ["d", 4],
      ]),
    );
  });

  test("knows its size whatever is set, set again, removed and taken back", () => {
    const draft = new DraftMap(base());
    const sizes: number[] = [];
    const undo = [
      draft.set("a", 10),
      draft.set("d", 4),
      draft.set("d", 5),
      draft.set("b", undefined),
      draft.set("b", undefined),
      draft.set("x", undefined),
      draft.set("b", 2),
    ];
    sizes.push(draft.size);
    for (const takeBack of undo.reverse()) {
      takeBack();
      sizes.push(draft.size);
      expect([...draft.entries()]).toHaveLength(draft.size);
    }
    expect(sizes).toEqual([4, 3, 3, 3, 4, 4, 3, 3]);
    expect(draft.changes.size).toBe(0);
  });

  test("finds the first key that is unchanged, also after a change was taken back", () => {
    const draft = new DraftMap(base());
    expect(draft.firstKey()).toBe("a");
    draft.set("a", 10);
    const undo = draft.set("b", undefined);
    expect(draft.firstKey()).toBe("c");
    undo();
    expect(draft.firstKey()).toBe("b");
    draft.set("b", undefined);
    draft.set("c", undefined);
    expect(draft.firstKey()).toBe("a");
    draft.set("a", undefined);
    expect(draft.firstKey()).toBeUndefined();
  });
});
