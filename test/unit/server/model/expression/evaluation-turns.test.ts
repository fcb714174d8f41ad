import { describe, expect, test } from "@jest/globals";
import { EvaluationTurns } from "../../../../../server/src/model/expression/evaluation-turns.js";
import { maxTurnSteps } from "../../../../../server/src/model/limits.js";

describe("EvaluationTurns", () => {
  test("make nobody wait before a turn's steps are taken", () => {
    const turns = new EvaluationTurns();
    turns.spend(maxTurnSteps - 1);
    expect(turns.nextIfOver()).toBeUndefined();
    turns.spend(1);
    expect(turns.isOver).toBe(true);
  });

  test("let one go in a turn, in the order in which they came", async () => {
    const turns = new EvaluationTurns();
    turns.spend(maxTurnSteps);
    const order: string[] = [];
    const evaluate = async (name: string) => {
      for (let time = 0; time < 2; time++) {
        await turns.nextIfOver();
        order.push(name);
        turns.spend(maxTurnSteps);
      }
    };
    await Promise.all(["a", "b", "c"].map(evaluate));
    expect(order.join("")).toBe("abcabc");
  });

  test("let everybody go who has left, with the next who has not", async () => {
    const turns = new EvaluationTurns();
    turns.spend(maxTurnSteps);
    const order: string[] = [];
    const wait = async (name: string, aborted: boolean) => {
      await turns.nextIfOver({ aborted });
      order.push(name);
      if (!aborted) turns.spend(maxTurnSteps);
    };
    const first = Promise.all([wait("gone", true), wait("gone too", true), wait("here", false)]);
    const second = wait("behind", false);
    await first;
    expect(order).toEqual(["gone", "gone too", "here"]);
    await second;
    expect(order.at(-1)).toBe("behind");
  });
});
