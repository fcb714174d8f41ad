import { describe, expect, test } from "@jest/globals";
import { SpareTime } from "../../../../../server/src/store/lmdb/spare-time.js";

/** What is answered after each of these stretches of time, in milliseconds of waiting and of work. */
function answersAfter(stretches: readonly (readonly [idle: number, active: number])[]): boolean[] {
  let times = { idle: 1_000, active: 2_000 };
  const spareTime = new SpareTime(() => times);
  return stretches.map(([idle, active]) => {
    times = { idle: times.idle + idle, active: times.active + active };
    return spareTime.hasSome;
  });
}

describe("SpareTime", () => {
  test("has some while the main thread waits for three tenths of the time", () => {
    expect(answersAfter([[6, 14]])).toEqual([true]);
    expect(answersAfter([[5, 15]])).toEqual([false]);
  });

  test("has some until it waits for less than a tenth", () => {
    expect(
      answersAfter([
        [20, 0],
        [2, 18],
        [1, 19],
        [2, 18],
      ]),
    ).toEqual([true, true, false, false]);
  });

  test("looks at 20 ms together, however often it is asked", () => {
    expect(
      answersAfter([
        [4, 4],
        [4, 4],
        [0, 4],
        [0, 40],
      ]),
    ).toEqual([false, false, true, false]);
  });
});
