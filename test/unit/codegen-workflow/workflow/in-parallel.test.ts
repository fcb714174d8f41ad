import { describe, expect, test } from "@jest/globals";
import { inParallel } from "../../../../client-sdk/examples/codegen-workflow/src/workflow/in-parallel.js";

describe("inParallel", () => {
  test("has no more running than it may, and keeps the order of the items", async () => {
    let running = 0;
    let most = 0;
    const results = await inParallel([3, 1, 2, 5, 4], 2, async (turns) => {
      running += 1;
      most = Math.max(most, running);
      for (let turn = 0; turn < turns; turn += 1) await Promise.resolve();
      running -= 1;
      return turns * 10;
    });
    expect(results).toEqual([30, 10, 20, 50, 40]);
    expect(most).toBe(2);
  });

  test("fails with the first failure", async () => {
    const run = async (item: number) => {
      if (item === 2) throw new Error("two");
    };
    await expect(inParallel([1, 2, 3], 1, run)).rejects.toThrow("two");
  });

  test("does nothing for no items", async () => {
    expect(await inParallel([], 3, async () => 1)).toEqual([]);
  });
});
