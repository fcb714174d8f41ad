import { describe, expect, test } from "@jest/globals";
import fc from "fast-check";
import { decodeCursor } from "../../server/src/model/cursor.js";
import { CoordinatorUnderTest } from "../support/coordinator-under-test.js";
import { assertForTraffic, expectedSequences, positionOf, readFrom, sequencesOf } from "../support/random-traffic.js";

const RETENTION = 20;
/** More signals than the least step in which the history is trimmed. */
const FLOOD = 600;
const OBSERVER = { agentId: "", includeOwn: false, signalTypes: [], senderAgentIds: [], minPriority: 0 } as const;

describe("resumable", () => {
  test("from any cursor inside retention, a reader gets what follows it and nothing else", async () => {
    await assertForTraffic(async ({ subject, log, transcripts }) => {
      for (const { view, sittings } of transcripts) {
        for (const item of sittings.flat()) {
          const cursor = decodeCursor(item.cursor);
          if (cursor.epoch === "") continue; // from before the coordination began
          const seen = sequencesOf(await readFrom(subject, view, cursor));
          expect(seen).toEqual(expectedSequences({ log }, view, { after: positionOf(item) }));
        }
      }
    });
  });

  test("outside retention the answer is CURSOR_EXPIRED with the oldest sequence", async () => {
    const counts = fc.array(fc.integer({ min: 1, max: RETENTION }), { minLength: 1, maxLength: 5 });
    await fc.assert(
      fc.asyncProperty(counts, fc.nat({ max: 1 }), async (bursts, floods) => {
        await using subject = new CoordinatorUnderTest({ retentionSignals: RETENTION });
        const reader = subject.subscribe({ start: { at: "earliest" } });
        for (const count of bursts) {
          await subject.fill(count);
          await reader.untilSignals(reader.signals.length + count);
        }
        await reader.leave();
        await subject.fill(FLOOD * floods);
        await subject.coordinator.closeCoordination("c", "");
        const { oldestSequence, headSequence } = await subject.header();
        for (const item of reader.items.filter(({ cursor }) => decodeCursor(cursor).epoch !== "")) {
          const outcome = readFrom(subject, OBSERVER, decodeCursor(item.cursor));
          if (positionOf(item) >= oldestSequence - 1n) {
            expect(sequencesOf(await outcome)).toHaveLength(Number(headSequence - positionOf(item)));
          } else {
            const metadata = { oldest_sequence: `${oldestSequence}` };
            await expect(outcome).rejects.toMatchObject({ reason: "CURSOR_EXPIRED", metadata });
          }
        }
      }),
      { numRuns: 10 },
    );
  });
});
