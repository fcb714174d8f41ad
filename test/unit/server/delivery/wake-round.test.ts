import { describe, expect, test } from "@jest/globals";
import { WakeRound } from "../../../../server/src/delivery/wake-round.js";
import { settle } from "../../../support/settle.js";

/** Readers that note when they are pumped. */
function readersOf(pumped: number[], count: number) {
  return Array.from({ length: count }, (_, index) => ({ pump: () => void pumped.push(index), close: () => undefined }));
}

const nextTurn = () => new Promise((resolve) => setImmediate(resolve));

describe("WakeRound", () => {
  test("pumps those that were woken in their order, and not before what woke them is done", async () => {
    const round = new WakeRound();
    const pumped: number[] = [];
    for (const reader of readersOf(pumped, 3)) round.add(reader);
    expect(pumped).toEqual([]);
    await settle();
    expect(pumped).toEqual([0, 1, 2]);
  });

  test("lets others run between the turns of very many", async () => {
    const round = new WakeRound();
    const pumped: number[] = [];
    for (const reader of readersOf(pumped, 2_500)) round.add(reader);
    const counts: number[] = [];
    while (pumped.length < 2_500) {
      await nextTurn();
      counts.push(pumped.length);
    }
    expect(counts[0]).toBe(1_000);
    expect(pumped).toEqual(Array.from({ length: 2_500 }, (_, index) => index));
  });

  test("pumps again one that is woken while it is pumped", async () => {
    const round = new WakeRound();
    let pumps = 0;
    const reader = {
      pump: () => {
        pumps += 1;
        if (pumps < 3) round.add(reader);
      },
      close: () => undefined,
    };
    round.add(reader);
    await settle();
    expect(pumps).toBe(3);
  });
});
