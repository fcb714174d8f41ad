import { Code } from "@connectrpc/connect";
import type { SubscribeRequest } from "@coordination-signals/proto/coordination/v1/signal_service";
import { describe, expect, test } from "@jest/globals";
import fc from "fast-check";
import { createCoordinationClient } from "../../client-sdk/src/index.js";
import { contractError } from "../unit/client-sdk/support/contract-errors.js";
import { startCuttingProxy } from "../unit/client-sdk/support/cutting-proxy.js";
import { readInParts } from "../unit/client-sdk/support/read-in-parts.js";
import { fastRetry } from "../unit/client-sdk/support/scripted-client.js";
import { batch, caughtUp, checkpoint, cursorAt, subscribed } from "../unit/client-sdk/support/scripted-log.js";
import { startScriptedServer } from "../unit/client-sdk/support/scripted-server.js";

/** A coordination, and everything that goes wrong while it is read. */
interface Plan {
  /** Which of the signals 1, 2, 3 ... match the filter. */
  readonly matching: readonly boolean[];
  /** How much the server scans at a time. */
  readonly scanned: number;
  /** After how many items each stream fails; the streams after them last. */
  readonly itemsBeforeError: readonly number[];
  /** After how many bytes each connection is cut; the connections after them last. */
  readonly bytesBeforeCut: readonly number[];
  /** How many signals the consumer takes before it breaks off and resumes by its cursor; at last it takes the rest. */
  readonly taken: readonly number[];
}

const plans: fc.Arbitrary<Plan> = fc.record({
  matching: fc.array(fc.boolean(), { maxLength: 80 }),
  scanned: fc.integer({ min: 1, max: 20 }),
  itemsBeforeError: fc.array(fc.nat({ max: 8 }), { maxLength: 4 }),
  bytesBeforeCut: fc.array(fc.nat({ max: 1_500 }), { maxLength: 6 }),
  taken: fc.array(fc.nat({ max: 15 }), { maxLength: 4 }),
});

/** The items of a stream that starts after a sequence and ends with the log. */
function* itemsAfter({ matching, scanned }: Plan, start: number) {
  yield subscribed(matching.length, cursorAt(start));
  for (let after = start; after < matching.length; after += scanned) {
    const through = Math.min(after + scanned, matching.length);
    const sequences = Array.from({ length: through - after }, (_, index) => after + 1 + index);
    const found = sequences.filter((sequence) => matching[sequence - 1]);
    yield found.length === 0 ? checkpoint(after, through) : batch(after, through, found);
  }
  yield caughtUp(matching.length);
}

function startOf({ start }: SubscribeRequest): number {
  if (start.case === "afterSequence") return Number(start.value);
  return start.case === "cursor" ? Number(start.value.replace("cursor", "")) : 0;
}

function faultyServer(plan: Plan) {
  const itemsBeforeError = [...plan.itemsBeforeError];
  return startScriptedServer({
    signals: {
      async *subscribe(request) {
        let left = itemsBeforeError.shift() ?? Number.POSITIVE_INFINITY;
        for (const item of itemsAfter(plan, startOf(request))) {
          if (left === 0) throw contractError({ code: Code.Unavailable, reason: "SHUTTING_DOWN" });
          left -= 1;
          yield item;
        }
      },
    },
  });
}

describe("Subscription over a faulty connection", () => {
  test("hands out each matching signal exactly once, in order", async () => {
    let cuts = 0;
    await fc.assert(
      fc.asyncProperty(plans, async (plan) => {
        await using server = await faultyServer(plan);
        await using proxy = await startCuttingProxy(server.port, plan.bytesBeforeCut);
        await using client = createCoordinationClient({ baseUrl: proxy.url, retry: fastRetry });
        const expected = plan.matching.flatMap((matches, index) => (matches ? [index + 1] : []));
        expect(await readInParts(client.coordination("c"), plan.taken)).toEqual(expected);
        cuts += proxy.cuts();
      }),
      { numRuns: 150 },
    );
    expect(cuts).toBeGreaterThan(10);
  });
});
