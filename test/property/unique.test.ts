import { describe, expect, test } from "@jest/globals";
import { assertForTraffic, signalsOf } from "../support/random-traffic.js";

describe("unique", () => {
  test("a signal never appears twice on one subscription, nor on those that resume it by its cursor", async () => {
    await assertForTraffic(({ transcripts }) => {
      for (const { sittings } of transcripts) {
        const ids = signalsOf(sittings.flat()).map(({ signalId }) => signalId);
        expect(new Set(ids).size).toBe(ids.length);
      }
    });
  });
});
