import { create } from "@bufbuild/protobuf";
import { type Timestamp, timestampFromMs } from "@bufbuild/protobuf/wkt";
import {
  type CoordinationSignal,
  CoordinationSignalSchema,
  Priority,
  type SignalFilter,
  SignalFilterSchema,
  SignalType,
} from "@coordination-signals/proto/coordination/v1/signal";
import { describe, expect, test } from "@jest/globals";
import fc from "fast-check";
import { FilterExpressionCompiler } from "../../server/src/model/filter-expression.js";
import { compileSignalFilter } from "../../server/src/model/signal-filter.js";

const agentIds = ["model-generator", "model-checker", "test-runner", "t", ""];
const patterns = ["model-generator", "model-*", "*-runner", "?", "*", "model-??????r", "t*r", "nobody"];
const metadataKeys = ["stage", "team", "toString"];
const metadataValues = ["build", "test", ""];
const knownTypes = [1, 2, 3, 4];

/** Expressions beside what they mean. */
const expressions = new Map<string, (signal: CoordinationSignal) => boolean>([
  ["", () => true],
  ["signal.sequence > 3u", ({ sequence }) => sequence > 3n],
  ["signal.sender_agent_id.startsWith('model')", ({ senderAgentId }) => senderAgentId.startsWith("model")],
  ["has(signal.agent_completed) && signal.agent_completed.quality_score > 0.5", (signal) => qualityOf(signal) > 0.5],
  ["signal.metadata.stage == 'build'", ({ metadata }) => metadata["stage"] === "build"],
  ["'t' in signal.recipient_agent_ids", ({ recipientAgentIds }) => recipientAgentIds.includes("t")],
]);

const events: fc.Arbitrary<CoordinationSignal["event"]> = fc.oneof(
  fc.constant(create(CoordinationSignalSchema, { event: { case: "agentInitialized", value: {} } }).event),
  fc
    .double({ min: 0, max: 1, noNaN: true })
    .map(
      (qualityScore) =>
        create(CoordinationSignalSchema, { event: { case: "agentCompleted", value: { qualityScore } } }).event,
    ),
  fc.constant(create(CoordinationSignalSchema, { event: { case: "dependencyResolved", value: {} } }).event),
  fc.constant(create(CoordinationSignalSchema, { event: { case: "interAgentMessage", value: {} } }).event),
);

/** Few values, so that filters and signals often meet, on both sides of a second and a nanosecond apart. */
const times = fc
  .tuple(fc.constantFrom(999, 1_000, 2_000), fc.integer({ min: 0, max: 2 }))
  .map(([milliseconds, nanos]) => {
    const time = timestampFromMs(milliseconds);
    return { ...time, nanos: time.nanos + nanos };
  });
const metadata = fc.dictionary(fc.constantFrom(...metadataKeys), fc.constantFrom(...metadataValues));

const signals = fc
  .record({
    sequence: fc.bigInt({ min: 1n, max: 6n }),
    senderAgentId: fc.constantFrom(...agentIds),
    recipientAgentIds: fc.subarray(agentIds),
    priority: fc.integer({ min: 0, max: 4 }),
    timestamp: times,
    metadata,
    event: events,
  })
  .map((parts) => create(CoordinationSignalSchema, parts));

const filterParts = fc.record({
  signalTypes: fc.subarray(knownTypes),
  senderAgentIds: fc.subarray(patterns, { maxLength: 3 }),
  minPriority: fc.integer({ min: 0, max: 4 }),
  afterTime: times,
  beforeTime: times,
  metadata,
  expression: fc.constantFrom(...expressions.keys()),
});

/** At most three parts are set: more of them match hardly anything. */
const filters = fc
  .tuple(
    filterParts,
    fc.subarray(["signalTypes", "senderAgentIds", "minPriority", "afterTime", "beforeTime", "metadata", "expression"], {
      maxLength: 3,
    }),
  )
  .map(([parts, names]) =>
    create(SignalFilterSchema, Object.fromEntries(Object.entries(parts).filter(([name]) => names.includes(name)))),
  );

function qualityOf({ event }: CoordinationSignal): number {
  return event.case === "agentCompleted" ? (event.value.qualityScore ?? 0) : Number.NEGATIVE_INFINITY;
}

function typeOf({ event }: CoordinationSignal): SignalType {
  switch (event.case) {
    case "agentInitialized":
      return SignalType.AGENT_INITIALIZED;
    case "agentCompleted":
      return SignalType.AGENT_COMPLETED;
    case "dependencyResolved":
      return SignalType.DEPENDENCY_RESOLVED;
    case "interAgentMessage":
      return SignalType.INTER_AGENT_MESSAGE;
    case undefined:
      return SignalType.UNSPECIFIED;
  }
}

function nanosOf(time: Timestamp): bigint {
  return time.seconds * 1_000_000_000n + BigInt(time.nanos);
}

/** A glob as the definition reads; the patterns above are trusted, and short. */
function matchesGlob(pattern: string, text: string): boolean {
  const source = pattern.replaceAll("?", ".").replaceAll("*", ".*");
  return new RegExp(`^${source}$`, "s").test(text);
}

/** The filter as the contract says it, part by part. */
function matchesByContract(filter: SignalFilter, signal: CoordinationSignal): boolean {
  const priority = signal.priority === Priority.UNSPECIFIED ? Priority.NORMAL : signal.priority;
  const accepted = signal.timestamp === undefined ? 0n : nanosOf(signal.timestamp);
  const parts = [
    filter.signalTypes.length === 0 || filter.signalTypes.includes(typeOf(signal)),
    filter.senderAgentIds.length === 0 ||
      filter.senderAgentIds.some((pattern) => matchesGlob(pattern, signal.senderAgentId)),
    filter.minPriority === Priority.UNSPECIFIED || priority >= filter.minPriority,
    Object.entries(filter.metadata).every(([key, value]) =>
      Object.entries(signal.metadata).some(([otherKey, otherValue]) => key === otherKey && value === otherValue),
    ),
    filter.afterTime === undefined || accepted >= nanosOf(filter.afterTime),
    filter.beforeTime === undefined || accepted < nanosOf(filter.beforeTime),
    expressions.get(filter.expression)?.(signal) ?? false,
  ];
  return parts.every((matches) => matches);
}

describe("a compiled filter", () => {
  const compiler = new FilterExpressionCompiler();

  test("matches exactly the signals that the contract says it matches", () => {
    const seen = { matched: 0, unmatched: 0 };
    fc.assert(
      fc.property(filters, fc.array(signals, { minLength: 1, maxLength: 20 }), (filter, candidates) => {
        const compiled = compileSignalFilter(filter, compiler);
        for (const signal of candidates) {
          const expected = matchesByContract(filter, signal);
          seen[expected ? "matched" : "unmatched"] += 1;
          expect(compiled.matches(signal)).toBe(expected);
        }
      }),
      { numRuns: 2_000 },
    );
    // The property says little unless both answers are common.
    expect(seen.matched).toBeGreaterThan(500);
    expect(seen.unmatched).toBeGreaterThan(500);
  });

  test("never matches a signal that its mask or its end of time lets a reader skip", () => {
    fc.assert(
      fc.property(filters, signals, (filter, signal) => {
        const { typeMask, beforeTimeMs, matches } = compileSignalFilter(filter, compiler);
        const acceptedMs = Number(nanosOf(signal.timestamp ?? timestampFromMs(0))) / 1e6;
        const isSkipped =
          (typeMask & (1 << typeOf(signal))) === 0 || (beforeTimeMs !== undefined && acceptedMs >= beforeTimeMs);
        if (isSkipped) expect(matches(signal)).toBe(false);
      }),
      { numRuns: 2_000 },
    );
  });

  test("matches everything when it says so", () => {
    fc.assert(
      fc.property(filters, signals, (filter, signal) => {
        const compiled = compileSignalFilter(filter, compiler);
        if (compiled.matchesAll) expect(matchesByContract(filter, signal)).toBe(true);
      }),
      { numRuns: 2_000 },
    );
  });
});
