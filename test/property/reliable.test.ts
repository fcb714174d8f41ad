import { describe, expect, test } from "@jest/globals";
import { assertForTraffic, expectedSequences, positionOf, sequencesOf } from "../support/random-traffic.js";

describe("reliable", () => {
  test("a subscriber gets every matching signal from its start to the end, and no other", async () => {
    await assertForTraffic(({ log, transcripts }) => {
      for (const { view, sittings } of transcripts) {
        const [subscribed] = sittings.flat();
        if (subscribed === undefined) throw new Error("a subscriber was told nothing");
        const expected = expectedSequences({ log }, view, { after: positionOf(subscribed) });
        expect(sittings.flatMap(sequencesOf)).toEqual(expected);
      }
    });
  });

  test("the ranges of batches and checkpoints join, across leaving and resuming too", async () => {
    await assertForTraffic(({ log, transcripts }) => {
      for (const { sittings } of transcripts) {
        const [subscribed, ...items] = sittings.flat();
        let through = subscribed === undefined ? 0n : positionOf(subscribed);
        for (const item of items) {
          if (item.kind === "batch" || item.kind === "checkpoint") {
            expect(item.afterSequence).toBe(through);
            through = item.throughSequence;
          }
          expect(positionOf(item)).toBe(through);
        }
        expect(through).toBe(BigInt(log.length));
      }
    });
  });
});
