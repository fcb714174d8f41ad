import { describe, expect, test } from "@jest/globals";
import { assertForTraffic, sequencesOf, type Traffic, traffic } from "../support/random-traffic.js";

const ascending = (values: readonly bigint[]) => [...values].sort((a, b) => (a < b ? -1 : 1));

/** The traffic with its signals marked with their batch and their place in it. */
const marked = traffic.map(
  ({ bursts, readers }): Traffic => ({
    readers,
    bursts: bursts.map((burst, b) =>
      burst.map((batch, s) => batch.map((each, i) => ({ ...each, metadata: { batch: `${b}-${s}`, index: `${i}` } }))),
    ),
  }),
);

describe("ordered", () => {
  test("every subscriber sees a coordination's signals in sequence order", async () => {
    await assertForTraffic(({ transcripts }) => {
      for (const { sittings } of transcripts) {
        const seen = sittings.flatMap(sequencesOf);
        expect(seen).toEqual(ascending(seen));
      }
    });
  });

  test("the log numbers signals from 1 without a gap, and its times never go back", async () => {
    await assertForTraffic(({ log }) => {
      expect(log.map(({ sequence }) => Number(sequence))).toEqual(log.map((_, index) => index + 1));
      const times = log.map(
        ({ timestamp }) => (timestamp?.seconds ?? 0n) * 1_000_000_000n + BigInt(timestamp?.nanos ?? 0),
      );
      expect(times).toEqual(ascending(times));
    });
  });

  test("the signals of a batch keep their order, whatever is sent at the same time", async () => {
    await assertForTraffic(({ log }) => {
      for (const batch of new Set(log.map(({ metadata }) => metadata["batch"]))) {
        const indexes = log
          .filter(({ metadata }) => metadata["batch"] === batch)
          .map(({ metadata }) => metadata["index"]);
        expect(indexes).toEqual(indexes.map((_, index) => `${index}`));
      }
    }, marked);
  });
});
