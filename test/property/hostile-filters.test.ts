// Filters as an unknown client may send them, on the wire and in each place that takes one: refused, or answered, and the server is
// there afterwards.
import { durationFromMs, timestampFromMs } from "@bufbuild/protobuf/wkt";
import { HistoryOrder, StartPosition } from "@coordination-signals/proto/coordination/v1/signal_service";
import { afterAll, beforeAll, describe, expect, test } from "@jest/globals";
import fc from "fast-check";
import type { FilterParts } from "../support/coordinator-under-test.js";
import { anyExpression, evaluatedSignals, typed } from "../support/random-expressions.js";
import { refusalFrom } from "../support/refusal.js";
import { grpc, type TestClient } from "../support/test-client.js";
import { startTestServer, type TestServer } from "../support/test-server.js";
import { openSubscription } from "../support/test-subscription.js";

const anyText = fc.string({ maxLength: 30, unit: "binary" });
const past = timestampFromMs(1_000);
const anyTime = fc.record({ seconds: fc.bigInt({ min: -(2n ** 63n), max: 2n ** 63n - 1n }), nanos: fc.integer() });

const onlyExpression = fc.record({ expression: fc.oneof(typed, anyExpression) });
const everyPart = fc.record({
  expression: fc.oneof(typed, anyText, fc.constant("(".repeat(1_000))),
  senderAgentIds: fc.array(fc.oneof(anyText, globs()), { maxLength: 3 }),
  signalTypes: fc.array(fc.integer({ min: 0, max: 5 }), { maxLength: 3 }),
  minPriority: fc.integer({ min: -1, max: 5 }),
  metadata: fc.dictionary(anyText, anyText, { maxKeys: 2 }),
  afterTime: fc.option(anyTime, { nil: undefined }),
});

/** Mostly an expression; sometimes other parts that no client of good faith would send. */
const anyFilter = fc.oneof({ weight: 3, arbitrary: onlyExpression }, everyPart) as fc.Arbitrary<FilterParts>;

function globs(): fc.Arbitrary<string> {
  return fc.array(fc.constantFrom("*", "?", "a", "agent-"), { maxLength: 60 }).map((parts) => parts.join(""));
}

const refusals = ["INVALID_FILTER", "INVALID_REQUEST", "FILTER_BUDGET_EXCEEDED"];

/** What became of a call: "answered", or the reason of the refusal. Fails for a reason that no filter may have. */
async function outcomeOf(call: Promise<unknown>, others: readonly string[] = []): Promise<string> {
  try {
    await call;
    return "answered";
  } catch (error) {
    const { reason } = refusalFrom(error);
    expect([...refusals, ...others]).toContain(reason);
    return reason ?? "";
  }
}

describe("a filter from an unknown client", () => {
  let server: TestServer;
  let client: TestClient;
  beforeAll(async () => {
    server = await startTestServer();
    client = grpc.connect(server.url);
    for (const { senderAgentId, metadata, event } of evaluatedSignals.slice(1)) {
      await client.signals.sendSignal({ coordinationId: "c", senderAgentId, metadata, event });
    }
  });
  afterAll(async () => {
    client.disconnect();
    await server[Symbol.asyncDispose]();
  });

  test("is refused or answered wherever one is taken, and refused alike", async () => {
    const seen = new Map<string, number>();
    await fc.assert(
      fc.asyncProperty(anyFilter, async (filter) => {
        const history = await outcomeOf(
          client.signals.getSignalHistory({ coordinationId: "c", filter, order: HistoryOrder.OLDEST_FIRST }),
        );
        // It ends when everything stored was looked at: nothing later can be before that time.
        const subscription = openSubscription(client.signals, {
          coordinationId: "c",
          filter: { ...filter, beforeTime: past },
          start: { case: "position", value: StartPosition.EARLIEST },
        });
        const read = await outcomeOf(
          subscription.untilEnd().then((error) => (error ? Promise.reject(error) : undefined)),
        );
        const waited = await outcomeOf(
          client.coordinations.waitFor({
            coordinationId: "c",
            agentId: "w",
            conditions: [{ condition: { case: "signal", value: filter } }],
            timeout: durationFromMs(1),
          }),
          ["WAIT_TIMEOUT"],
        );
        const isRefused = (outcome: string) => outcome.startsWith("INVALID");
        expect([isRefused(read), isRefused(waited)]).toEqual([isRefused(history), isRefused(history)]);
        seen.set(history, (seen.get(history) ?? 0) + 1);
      }),
      { numRuns: 120 },
    );
    // The property says nothing when all is refused, or nothing is.
    expect(seen.get("answered")).toBeGreaterThan(10);
    expect(seen.get("INVALID_FILTER")).toBeGreaterThan(10);
    expect((await client.signals.getSignalHistory({ coordinationId: "c" })).signals).toHaveLength(3);
  });
});
