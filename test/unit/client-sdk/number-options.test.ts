import { describe, expect, test } from "@jest/globals";
import {
  type CoordinationClientOptions,
  type CoordinationSession,
  createCoordinationClient,
  InvalidRequestError,
} from "../../../client-sdk/src/index.js";
import { connectScripted } from "./support/scripted-client.js";

const noNumbers = [Number.NaN, "5", 5n, null];
const wholeFrom1 = [0, -1, 1.5, Number.POSITIVE_INFINITY, 2 ** 31, ...noNumbers];
const wholeFrom1OrInfinite = [0, -1, 1.5, ...noNumbers];
const moreThan0 = [0, -1, Number.POSITIVE_INFINITY, ...noNumbers];
const from0 = [-1, Number.POSITIVE_INFINITY, ...noNumbers];
const from0OrInfinite = [-1, ...noNumbers];
const sequences = [-1n, 2n ** 63n, 1, "1", null];

type Call = (session: CoordinationSession, value: never) => unknown;

const named = { subscription: "work" };
const condition = { agentId: "x" };
const noWork = () => undefined;
const first = (iterable: AsyncIterable<unknown>) => iterable[Symbol.asyncIterator]().next();

/** Calls with an option that is a number, and values that it cannot have. */
const calls: readonly (readonly [name: string, option: string, values: readonly unknown[], call: Call])[] = [
  ["waitFor", "timeoutMs", moreThan0, (session, timeoutMs) => session.waitFor(condition, { timeoutMs })],
  [
    "waitFor",
    "atLeast",
    [-1, 1.5, Number.POSITIVE_INFINITY, undefined, ...noNumbers],
    (session, atLeast) => session.waitFor(condition, { mode: { atLeast } }),
  ],
  ["waitFor", "mode", [null, "some", 1, ["all"]], (session, mode) => session.waitFor(condition, { mode })],
  [
    "waitFor",
    "minQualityScore",
    from0,
    (session, minQualityScore) => session.waitFor({ ...condition, minQualityScore }),
  ],
  ["request", "timeoutMs", moreThan0, (session, timeoutMs) => session.request({ messageType: "m" }, { timeoutMs })],
  [
    "a send with requireAck",
    "timeoutMs",
    moreThan0,
    (session, timeoutMs) => session.message({ messageType: "m" }, { requireAck: ["b"], timeoutMs }),
  ],
  ["register", "leaseMs", from0, (session, leaseMs) => session.register({ leaseMs })],
  ["any call", "timeoutMs", moreThan0, (session, timeoutMs) => session.overview({ timeoutMs })],
  ["history", "pageSize", wholeFrom1, (session, pageSize) => first(session.history({ pageSize }))],
  ["history", "limit", [-1, 1.5, ...noNumbers], (session, limit) => first(session.history({ limit }))],
  ["subscriptions", "pageSize", wholeFrom1, (session, pageSize) => session.listSubscriptions({ pageSize })],
  ["deadLetters", "pageSize", wholeFrom1, (session, pageSize) => session.listDeadLetters({ pageSize })],
  ["snapshots", "pageSize", wholeFrom1, (session, pageSize) => first(session.state.snapshots({ pageSize }))],
  ["changes", "pageSize", wholeFrom1, (session, pageSize) => first(session.state.changes({ pageSize }))],
  ["timeline", "maxSignals", wholeFrom1, (session, maxSignals) => session.timeline({ maxSignals })],
  ["timeline", "minIdleMs", from0, (session, minIdleMs) => session.timeline({ minIdleMs })],
  ["timeline", "afterSequence", sequences, (session, afterSequence) => session.timeline({ afterSequence })],
  ["timeline", "untilSequence", sequences, (session, untilSequence) => session.timeline({ untilSequence })],
  ["replay", "speed", from0, (session, speed) => first(session.replay({ speed }))],
  ["replay", "afterSequence", sequences, (session, afterSequence) => first(session.replay({ afterSequence }))],
  ["replay", "untilSequence", sequences, (session, untilSequence) => first(session.replay({ untilSequence }))],
  ["rollBack", "toSequence", sequences, (session, toSequence) => session.state.rollBack(toSequence)],
  ["receipts", "sequence", sequences, (session, sequence) => session.receipts({ sequence })],
  ["explainDelivery", "sequence", sequences, (session, sequence) => session.explainDelivery(sequence, "b")],
  [
    "redriveDeadLetters",
    "sequences",
    sequences,
    (session, sequence) => session.redriveDeadLetters({ ...named, sequences: [sequence] }),
  ],
  [
    "subscribe",
    "afterSequence",
    sequences,
    (session, afterSequence) => first(session.subscribe({ from: { afterSequence } })),
  ],
  [
    "subscribe",
    "checkpointIntervalMs",
    moreThan0,
    (session, checkpointIntervalMs) => first(session.subscribe({ checkpointIntervalMs })),
  ],
  ["subscribe", "idleTimeoutMs", moreThan0, (session, idleTimeoutMs) => first(session.subscribe({ idleTimeoutMs }))],
  [
    "subscribe",
    "reconnectTimeoutMs",
    from0OrInfinite,
    (session, reconnectTimeoutMs) => first(session.subscribe({ reconnectTimeoutMs })),
  ],
  ...(["deadlineMs", "minBackoffMs", "maxBackoffMs"] as const).map(
    (option) =>
      [
        "a named subscription",
        option,
        from0,
        (session, value) => first(session.subscribe({ ...named, ack: { [option]: value } })),
      ] as const satisfies (typeof calls)[number],
  ),
  ...(["maxDeliveryAttempts", "maxOutstanding"] as const).map(
    (option) =>
      [
        "a named subscription",
        option,
        wholeFrom1,
        (session, value) => session.createSubscription({ ...named, ack: { [option]: value } }),
      ] as const satisfies (typeof calls)[number],
  ),
  [
    "work",
    "maxConcurrent",
    wholeFrom1OrInfinite,
    (session, maxConcurrent) => session.work({ ...named, maxConcurrent }, noWork).ready(),
  ],
  [
    "onRequest",
    "maxConcurrent",
    wholeFrom1OrInfinite,
    (session, maxConcurrent) => session.onRequest(noWork, { maxConcurrent }).ready(),
  ],
];

/** Options of a client that are numbers, and values that they cannot have. */
const behaviors: readonly (readonly [option: string, values: readonly unknown[], of: (value: never) => object])[] = [
  ["callTimeoutMs", moreThan0, (callTimeoutMs) => ({ callTimeoutMs })],
  ["closeTimeoutMs", from0OrInfinite, (closeTimeoutMs) => ({ closeTimeoutMs })],
  ["maxQueuedSignals", wholeFrom1OrInfinite, (maxQueuedSignals) => ({ maxQueuedSignals })],
  ["maxQueuedBytes", wholeFrom1OrInfinite, (maxQueuedBytes) => ({ maxQueuedBytes })],
  ["maxAttempts", wholeFrom1OrInfinite, (maxAttempts) => ({ retry: { maxAttempts } })],
  ["maxElapsedMs", from0OrInfinite, (maxElapsedMs) => ({ retry: { maxElapsedMs } })],
  ["initialDelayMs", from0, (initialDelayMs) => ({ retry: { initialDelayMs } })],
  ["maxDelayMs", from0OrInfinite, (maxDelayMs) => ({ retry: { maxDelayMs } })],
  ["intervalMs", moreThan0, (intervalMs) => ({ keepalive: { intervalMs } })],
  ["timeoutMs", moreThan0, (timeoutMs) => ({ keepalive: { timeoutMs } })],
];

describe("an option that is a number and cannot be what it is", () => {
  test.each(calls)("is refused by name before anything is sent: %s, %s", async (_, option, values, call) => {
    await using scripted = await connectScripted({});
    for (const value of values) {
      // What throws at once and what rejects is the same here.
      const error = await (async () => call(scripted.session, value as never))().then(
        (answer) => ({ value, answer }),
        (thrown: unknown) => thrown,
      );
      expect(error).toBeInstanceOf(InvalidRequestError);
      expect((error as InvalidRequestError).message).toContain(`${option} `);
    }
  });

  test.each(behaviors)("is refused by name when a client is made: %s", (option, values, behaviorOf) => {
    for (const value of values) {
      const options = { baseUrl: "http://127.0.0.1:1", ...behaviorOf(value as never) } as CoordinationClientOptions;
      expect(() => createCoordinationClient(options)).toThrow(InvalidRequestError);
      expect(() => createCoordinationClient(options)).toThrow(`${option} `);
    }
  });
});

describe("a span", () => {
  test("goes to the server by the whole nanosecond, whatever the fractions of a calculated one are", async () => {
    const leases: unknown[] = [];
    await using scripted = await connectScripted({
      registry: {
        registerAgent: ({ lease }) => {
          leases.push(lease?.nanos);
          return { agent: {} };
        },
      },
    });
    await scripted.session.register({ leaseMs: 100.1 + 200.2, heartbeat: false });
    expect(leases).toEqual([300_299_999]);
  });
});
