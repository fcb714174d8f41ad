import { describe, expect, test } from "@jest/globals";
import { WakeRound } from "../../../../server/src/delivery/wake-round.js";
import { settle } from "../../../support/settle.js";

/** Readers that note when they are resumed. */
function readersOf(resumed: number[], count: number) {
  return Array.from({ length: count }, (_, index) => ({
    resume: () => void resumed.push(index),
    leave: () => undefined,
  }));
}

const nextTurn = () => new Promise((resolve) => setImmediate(resolve));

describe("WakeRound", () => {
  test("resumes those that were woken in their order, and not before what woke them is done", async () => {
    const round = new WakeRound();
    const resumed: number[] = [];
    for (const reader of readersOf(resumed, 3)) round.add(reader);
    expect(resumed).toEqual([]);
    await settle();
    expect(resumed).toEqual([0, 1, 2]);
  });

  test("lets others run between the turns of very many", async () => {
    const round = new WakeRound();
    const resumed: number[] = [];
    for (const reader of readersOf(resumed, 2_500)) round.add(reader);
    const counts: number[] = [];
    while (resumed.length < 2_500) {
      await nextTurn();
      counts.push(resumed.length);
    }
    expect(counts[0]).toBe(1_000);
    expect(resumed).toEqual(Array.from({ length: 2_500 }, (_, index) => index));
  });

  test("resumes again one that is woken while it is resumed", async () => {
    const round = new WakeRound();
    let resumes = 0;
    const reader = {
      resume: () => {
        resumes += 1;
        if (resumes < 3) round.add(reader);
      },
      leave: () => undefined,
    };
    round.add(reader);
    await settle();
    expect(resumes).toBe(3);
  });
});
