import { describe, expect, test } from "@jest/globals";
import fc from "fast-check";
import { CoordinationError } from "../../server/src/model/coordination-error.js";
import type { CoordinatorUnderTest, PlaceOutcome, StoredPlace } from "../support/coordinator-under-test.js";
import type { RequestParts } from "../support/log-entries.js";
import { stages } from "../support/random-interleaving.js";
import { settle } from "../support/settle.js";

const retentionSignals = 6;

/** A signal that may be a repetition: few names, few contents. */
interface Request {
  readonly requestId: string;
  readonly message: string;
}

/** Requests that go off at the same moment, each alone or together; then a pause, so that others can overtake them. */
interface Burst {
  readonly mode: "each" | "batch" | "atomic";
  readonly requests: readonly Request[];
  readonly turns: number;
}

const bursts: fc.Arbitrary<readonly Burst[]> = fc.array(
  fc.record({
    mode: fc.constantFrom("each" as const, "batch" as const, "atomic" as const),
    requests: fc.array(
      fc.record({ requestId: fc.constantFrom("", "1", "2", "3"), message: fc.constantFrom("x", "x", "x", "y") }),
      { minLength: 1, maxLength: 5 },
    ),
    turns: fc.nat({ max: 2 }),
  }),
  { minLength: 2, maxLength: 25 },
);

/** One request and what was answered. */
interface Answered extends Request {
  readonly stored: StoredPlace | undefined;
  /** The head as far as answers had told when it was sent. */
  readonly knownHead: bigint;
}

const partsOf = ({ requestId, message }: Request): RequestParts => ({
  requestId,
  event: { case: "interAgentMessage", value: { message } },
});

/** Sends requests and remembers how far the head had got. */
class Sender {
  #head = 0n;

  async send(subject: CoordinatorUnderTest, { mode, requests }: Burst): Promise<readonly Answered[]> {
    const knownHead = this.#head;
    const outcomes = await outcomesOf(subject, mode, requests.map(partsOf));
    return requests.map((request, index) => {
      const { stored, error } = outcomes[index] ?? {};
      if (stored === undefined) expect(error).toMatchObject({ reason: "REQUEST_ID_REUSED" });
      else if (stored.sequence > this.#head) this.#head = stored.sequence;
      return { ...request, stored, knownHead };
    });
  }
}

async function outcomesOf(
  subject: CoordinatorUnderTest,
  mode: Burst["mode"],
  parts: readonly RequestParts[],
): Promise<readonly PlaceOutcome[]> {
  if (mode === "batch") return await subject.sendEach(parts);
  if (mode === "each") return (await Promise.all(parts.map((each) => subject.sendEach([each])))).flat();
  try {
    return (await subject.sendAtomically(parts)).map((stored) => ({ stored }));
  } catch (error) {
    if (!(error instanceof CoordinationError)) throw error;
    return parts.map(() => ({ error }));
  }
}

/** The oldest sequence in history with a head. */
function oldestAt(head: bigint): bigint {
  const oldest = head - BigInt(retentionSignals) + 1n;
  return oldest > 1n ? oldest : 1n;
}

/** Every answer to a name is the first one for as long as its signal is in history, and no longer. */
function checkName(answers: readonly Answered[]): void {
  const first = answers.flatMap(({ stored, message }) =>
    stored?.isDeduplicated === false ? [{ stored, message }] : [],
  );
  first.sort((a, b) => Number(a.stored.sequence - b.stored.sequence));
  for (const [index, { stored }] of first.entries()) {
    const before = first[index - 1];
    if (before !== undefined) expect(before.stored.sequence).toBeLessThan(oldestAt(stored.sequence - 1n));
  }
  for (const { stored, message, knownHead } of answers) {
    if (stored?.isDeduplicated !== true) continue;
    expect(stored.sequence).toBeGreaterThanOrEqual(oldestAt(knownHead));
    const original = first.find((each) => each.stored.sequence === stored.sequence);
    expect(original).toEqual({ stored: { ...stored, isDeduplicated: false }, message });
  }
}

describe.each(stages)("repeated requests, $name", ({ open, runs }) => {
  test("get the first answer for as long as its signal is in history, alone, in batches and all at once", async () => {
    await fc.assert(
      fc.asyncProperty(bursts, fc.nat({ max: 25 }), async (plan, restartBefore) => {
        await using stage = await open(retentionSignals);
        const sender = new Sender();
        const sending: Promise<readonly Answered[]>[] = [];
        for (const [index, burst] of plan.entries()) {
          if (index === restartBefore && stage.restart !== undefined) {
            await Promise.all(sending);
            await stage.restart();
          }
          sending.push(sender.send(stage.current, burst));
          await settle(burst.turns);
        }
        const answers = (await Promise.all(sending)).flat();
        const given = answers.flatMap(({ stored }) => (stored?.isDeduplicated === false ? [stored.sequence] : []));
        expect(given.sort((a, b) => Number(a - b))).toEqual(given.map((_, at) => BigInt(at + 1)));
        for (const requestId of ["1", "2", "3"]) checkName(answers.filter((each) => each.requestId === requestId));
        for (const { requestId, stored } of answers) {
          if (requestId === "") expect(stored?.isDeduplicated).not.toBe(true);
        }
      }),
      { numRuns: runs },
    );
  });
});
