import { describe, expect, test } from "@jest/globals";
import fc from "fast-check";
import { type CoordinatorUnderTest, openDurable } from "../support/coordinator-under-test.js";
import type { RequestParts } from "../support/log-entries.js";

/** A send that may have been made before: by few senders, with few names, of few contents. */
interface Send {
  readonly senderAgentId: string;
  readonly requestId: string;
  readonly message: string;
}

type Step = { readonly kind: "send"; readonly together: readonly Send[] } | { readonly kind: "restart" };

const send: fc.Arbitrary<Send> = fc.record({
  senderAgentId: fc.constantFrom("parser", "generator"),
  requestId: fc.constantFrom("request 1", "request 2", "request 3"),
  message: fc.constantFrom("hello", "something else"),
});

const steps: fc.Arbitrary<readonly Step[]> = fc.array(
  fc.oneof(
    {
      weight: 6,
      arbitrary: fc.record({ kind: fc.constant("send" as const), together: fc.array(send, { maxLength: 6 }) }),
    },
    { weight: 1, arbitrary: fc.constant({ kind: "restart" as const }) },
  ),
  { minLength: 1, maxLength: 10 },
);

const partsOf = ({ message, ...rest }: Send): RequestParts => ({
  ...rest,
  event: { case: "interAgentMessage", value: { messageType: "note", message } },
});

/** What the first send of each name stored, by sender and name. */
class FirstAnswers {
  readonly #answers = new Map<
    string,
    { readonly message: string; readonly signalId: string; readonly sequence: bigint }
  >();

  get size(): number {
    return this.#answers.size;
  }

  /** Sends, and checks the answer against the first one to this sender and name. */
  async check(subject: CoordinatorUnderTest, each: Send): Promise<void> {
    const key = `${each.senderAgentId} ${each.requestId}`;
    const outcome = subject.send(partsOf(each)).then(
      (stored) => ({ stored, error: undefined }),
      (error: unknown) => ({ stored: undefined, error }),
    );
    const { stored, error } = await outcome;
    const first = this.#answers.get(key);
    if (stored !== undefined && first === undefined) {
      expect(stored.isDeduplicated).toBe(false);
      this.#answers.set(key, { message: each.message, signalId: stored.signalId, sequence: stored.sequence });
    } else if (first?.message === each.message) {
      expect(stored).toMatchObject({ signalId: first.signalId, sequence: first.sequence, isDeduplicated: true });
    } else {
      expect(error).toMatchObject({ reason: "REQUEST_ID_REUSED" });
    }
  }
}

describe("idempotent", () => {
  test("a repeated request_id gets the first answer and stores nothing, at the same time or after a restart", async () => {
    await fc.assert(
      fc.asyncProperty(steps, async (plan) => {
        await using server = await openDurable();
        const answers = new FirstAnswers();
        for (const step of plan) {
          if (step.kind === "restart") await server.restart();
          else await Promise.all(step.together.map((each) => answers.check(server.current, each)));
        }
        if (answers.size === 0) return;
        const { entries } = await server.current.history();
        expect(entries).toHaveLength(answers.size);
      }),
      { numRuns: 40 },
    );
  });

  test("a request_id is free again when its signal has left the history, not before", async () => {
    await fc.assert(
      fc.asyncProperty(fc.integer({ min: 1, max: 5 }), async (retentionSignals) => {
        await using server = await openDurable({ retentionSignals });
        const [request] = [{ requestId: "request 1" }];
        const first = await server.current.send(request);
        await server.current.fill(retentionSignals - 1);
        expect(await server.current.send(request)).toMatchObject({ signalId: first.signalId, isDeduplicated: true });
        await server.current.fill(1);
        const { oldestSequence } = await server.current.header();
        expect(oldestSequence).toBe(2n);
        expect(await server.current.send(request)).toMatchObject({ isDeduplicated: false });
      }),
      { numRuns: 5 },
    );
  });
});
