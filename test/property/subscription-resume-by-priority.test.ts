import { create, type MessageInitShape } from "@bufbuild/protobuf";
import { Code } from "@connectrpc/connect";
import {
  type CoordinationSignal,
  CoordinationSignalSchema,
  Priority,
} from "@coordination-signals/proto/coordination/v1/signal";
import {
  DeliveryOrder,
  type SubscribeRequest,
  type SubscribeResponseSchema,
} from "@coordination-signals/proto/coordination/v1/signal_service";
import { describe, expect, test } from "@jest/globals";
import fc from "fast-check";
import { createCoordinationClient } from "../../client-sdk/src/index.js";
import { contractError } from "../unit/client-sdk/support/contract-errors.js";
import { startCuttingProxy } from "../unit/client-sdk/support/cutting-proxy.js";
import { readInParts } from "../unit/client-sdk/support/read-in-parts.js";
import { fastRetry } from "../unit/client-sdk/support/scripted-client.js";
import { signalAt, subscribed } from "../unit/client-sdk/support/scripted-log.js";
import { startScriptedServer } from "../unit/client-sdk/support/scripted-server.js";

const levels = [Priority.CONTROL, Priority.HIGH, Priority.NORMAL, Priority.LOW];

/** A coordination, and everything that goes wrong while it is read. */
interface Plan {
  /** The levels of the signals 1, 2, 3 ... */
  readonly log: readonly number[];
  /** How many signals are added before each batch: so no two streams cut the log into the same batches. */
  readonly growth: readonly number[];
  readonly batchSignals: number;
  /** After how many items each stream fails; the streams after them last. */
  readonly itemsBeforeError: readonly number[];
  /** After how many bytes each connection is cut; the connections after them last. */
  readonly bytesBeforeCut: readonly number[];
  /** How many signals the consumer takes before it breaks off and resumes by its cursor; at last it takes the rest. */
  readonly taken: readonly number[];
}

const plans: fc.Arbitrary<Plan> = fc.record({
  log: fc.array(fc.nat({ max: 3 }), { maxLength: 60 }),
  growth: fc.array(fc.nat({ max: 6 }), { maxLength: 30 }),
  batchSignals: fc.integer({ min: 1, max: 10 }),
  itemsBeforeError: fc.array(fc.nat({ max: 8 }), { maxLength: 4 }),
  bytesBeforeCut: fc.array(fc.nat({ max: 1_500 }), { maxLength: 6 }),
  taken: fc.array(fc.nat({ max: 15 }), { maxLength: 4 }),
});

/** A server of a log that grows while it is read: the most urgent of what is there first. */
class PriorityServer {
  readonly #plan: Plan;
  readonly #itemsBeforeError: number[];
  #head = 0;
  #batches = 0;

  constructor(plan: Plan) {
    this.#plan = plan;
    this.#itemsBeforeError = [...plan.itemsBeforeError];
  }

  async *subscribe({ start, order }: SubscribeRequest) {
    expect(order).toBe(DeliveryOrder.PRIORITY);
    let left = this.#itemsBeforeError.shift() ?? Number.POSITIVE_INFINITY;
    for (const item of this.#itemsFrom(start)) {
      if (left === 0) throw contractError({ code: Code.Unavailable, reason: "SHUTTING_DOWN" });
      left -= 1;
      yield item;
    }
  }

  *#itemsFrom(start: SubscribeRequest["start"]): Generator<MessageInitShape<typeof SubscribeResponseSchema>> {
    const { log, growth, batchSignals } = this.#plan;
    const positions = start.case === "cursor" ? start.value.slice(1).split("-").map(Number) : [0, 0, 0, 0];
    yield subscribed(this.#head, cursorOf(positions));
    while (positions.some((position) => position < log.length)) {
      this.#head = Math.min(log.length, this.#head + (growth[this.#batches++] ?? log.length));
      const after = Math.min(...positions);
      const signals = levels.flatMap((_, level) => this.#pending(level, positions[level] ?? 0)).slice(0, batchSignals);
      for (const level of levels.keys()) {
        const last = signals.findLast((signal) => signal.priority === levels[level]);
        const isDone = this.#pending(level, Number(last?.sequence ?? positions[level] ?? 0)).length === 0;
        positions[level] = isDone ? this.#head : Number(last?.sequence ?? positions[level] ?? 0);
      }
      const range = { afterSequence: BigInt(after), throughSequence: BigInt(Math.min(...positions)) };
      const value = { ...range, cursor: cursorOf(positions) };
      if (signals.length > 0) yield { item: { case: "batch", value: { ...value, signals } } };
      else yield { item: { case: "checkpoint", value } };
    }
  }

  #pending(level: number, after: number): readonly CoordinationSignal[] {
    return this.#plan.log.flatMap((of, index) =>
      of === level && index + 1 > after && index < this.#head ? [leveledSignal(index + 1, level)] : [],
    );
  }
}

function leveledSignal(sequence: number, level: number): CoordinationSignal {
  return create(CoordinationSignalSchema, { ...signalAt(sequence), priority: levels[level] ?? Priority.NORMAL });
}

function cursorOf(positions: readonly number[]): string {
  return `c${positions.join("-")}`;
}

describe("Subscription in order of priority over a faulty connection", () => {
  test("hands out each signal exactly once, in order within a level", async () => {
    let cuts = 0;
    await fc.assert(
      fc.asyncProperty(plans, async (plan) => {
        const scripted = new PriorityServer(plan);
        await using server = await startScriptedServer({
          signals: { subscribe: (request) => scripted.subscribe(request) },
        });
        await using proxy = await startCuttingProxy(server.port, plan.bytesBeforeCut);
        await using client = createCoordinationClient({ baseUrl: proxy.url, retry: fastRetry });
        const seen = await readInParts(client.coordination("c"), plan.taken, "priority");
        for (const level of levels.keys()) {
          const expected = plan.log.flatMap((of, index) => (of === level ? [index + 1] : []));
          expect(seen.filter((sequence) => plan.log[sequence - 1] === level)).toEqual(expected);
        }
        cuts += proxy.cuts();
      }),
      { numRuns: 150 },
    );
    expect(cuts).toBeGreaterThan(10);
  });
});
