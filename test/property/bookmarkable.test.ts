import { describe, expect, test } from "@jest/globals";
import type { TailItem } from "../../server/src/delivery/tail-item.js";
import { assertForTraffic, expectedSequences, positionOf, sequencesOf } from "../support/random-traffic.js";

describe("bookmarkable", () => {
  test("at every cursor, everything up to it was delivered or filtered out", async () => {
    await assertForTraffic(({ log, transcripts }) => {
      for (const { view, sittings } of transcripts) {
        const items = sittings.flat();
        const after = items[0] === undefined ? 0n : positionOf(items[0]);
        const told: TailItem[] = [];
        for (const item of items) {
          told.push(item);
          expect(sequencesOf(told)).toEqual(expectedSequences({ log }, view, { after, through: positionOf(item) }));
        }
      }
    });
  });

  test("an idle reader's checkpoints move past what does not concern it", async () => {
    await assertForTraffic(({ log, transcripts }) => {
      for (const { sittings } of transcripts) {
        const last = sittings.flat().at(-1);
        expect(last && positionOf(last)).toBe(BigInt(log.length));
      }
    });
  });
});
