import { describe, expect, test } from "@jest/globals";
import fc from "fast-check";
import { CoordinatorUnderTest } from "../support/coordinator-under-test.js";
import type { RequestParts } from "../support/log-entries.js";

/** One send among others that are under way at the same time: a batch that is atomic, or one that is not. */
interface Send {
  readonly isAtomic: boolean;
  readonly count: number;
  /** The place of an item that is refused because its recipient is unknown. */
  readonly badIndex: number | undefined;
}

const sends: fc.Arbitrary<readonly Send[]> = fc.array(
  fc.record({
    isAtomic: fc.boolean(),
    count: fc.integer({ min: 1, max: 12 }),
    badIndex: fc.option(fc.nat({ max: 20 }), { nil: undefined }),
  }),
  { minLength: 1, maxLength: 12 },
);

function partsOf({ count, badIndex }: Send, send: number): RequestParts[] {
  return Array.from({ length: count }, (_, index) => ({
    metadata: { send: `${send}` },
    ...(index === badIndex ? { recipientAgentIds: ["nobody"] } : {}),
  }));
}

const isRefused = ({ isAtomic, count, badIndex }: Send) => isAtomic && badIndex !== undefined && badIndex < count;

/** Sends all at the same time; answers the sequences that each atomic batch was given, none for a refused one. */
function sendTogether(
  subject: CoordinatorUnderTest,
  plan: readonly Send[],
): Promise<(readonly bigint[] | undefined)[]> {
  return Promise.all(
    plan.map(async (send, index) => {
      const parts = partsOf(send, index);
      if (!send.isAtomic) {
        await subject.sendEach(parts);
        return undefined;
      }
      const outcome = subject.sendAtomically(parts);
      if (!isRefused(send)) return (await outcome).map(({ sequence }) => sequence);
      await expect(outcome).rejects.toMatchObject({
        reason: "AGENT_NOT_FOUND",
        metadata: { index: `${send.badIndex}` },
      });
      return [];
    }),
  );
}

describe("atomic", () => {
  test("a batch is stored whole and adjacent or not at all, whatever is sent at the same time", async () => {
    await fc.assert(
      fc.asyncProperty(sends, async (plan) => {
        await using subject = new CoordinatorUnderTest();
        await subject.send({ metadata: { send: "first" } });
        const answers = await sendTogether(subject, plan);
        const { entries } = await subject.history();
        for (const [index, send] of plan.entries()) {
          if (!send.isAtomic) continue;
          const stored = entries.filter(({ signal }) => signal.metadata["send"] === `${index}`);
          const sequences = stored.map(({ sequence }) => sequence);
          expect(sequences).toEqual(answers[index]);
          expect(sequences).toHaveLength(isRefused(send) ? 0 : send.count);
          expect(sequences).toEqual(sequences.map((_, place) => (sequences[0] ?? 0n) + BigInt(place)));
        }
      }),
    );
  });

  test("a reader never sees a part of a batch without the rest behind it in the log", async () => {
    await fc.assert(
      fc.asyncProperty(sends, async (plan) => {
        await using subject = new CoordinatorUnderTest();
        const reader = subject.subscribe({ start: { at: "earliest" } });
        await subject.send({ metadata: { send: "first" } });
        const sending = sendTogether(subject, plan);
        await reader.untilSignals(1);
        const { headSequence } = await subject.header();
        await sending;
        const { entries } = await subject.history();
        const visible = entries.filter(({ sequence }) => sequence <= headSequence);
        for (const [index, send] of plan.entries()) {
          const seen = visible.filter(({ signal }) => signal.metadata["send"] === `${index}`);
          if (send.isAtomic) expect([0, send.count]).toContain(seen.length);
        }
      }),
    );
  });
});
