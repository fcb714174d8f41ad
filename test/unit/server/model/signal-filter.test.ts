import { create, type MessageInitShape } from "@bufbuild/protobuf";
import { timestampFromMs } from "@bufbuild/protobuf/wkt";
import {
  type CoordinationSignal,
  CoordinationSignalSchema,
  Priority,
  SignalFilterSchema,
  SignalType,
} from "@coordination-signals/proto/coordination/v1/signal";
import { describe, expect, test } from "@jest/globals";
import { CoordinationError } from "../../../../server/src/model/coordination-error.js";
import { FilterExpressionCompiler } from "../../../../server/src/model/filter-expression.js";
import { type CompiledFilter, compileSignalFilter } from "../../../../server/src/model/signal-filter.js";

function filterOf(parts: MessageInitShape<typeof SignalFilterSchema>): CompiledFilter {
  return compileSignalFilter(create(SignalFilterSchema, parts));
}

function signalOf(parts: MessageInitShape<typeof CoordinationSignalSchema> = {}): CoordinationSignal {
  return create(CoordinationSignalSchema, {
    senderAgentId: "model-generator",
    priority: Priority.NORMAL,
    timestamp: timestampFromMs(1_000),
    event: { case: "agentCompleted", value: { agentId: "model-generator", qualityScore: 0.95 } },
    ...parts,
  });
}

function refusalOf(parts: MessageInitShape<typeof SignalFilterSchema>): CoordinationError {
  try {
    filterOf(parts);
  } catch (error) {
    if (error instanceof CoordinationError) return error;
    throw error;
  }
  throw new Error("the filter was accepted");
}

describe("compileSignalFilter", () => {
  test("matches everything when no filter is given, and when it is empty", () => {
    for (const filter of [compileSignalFilter(undefined), filterOf({})]) {
      expect(filter).toMatchObject({ typeMask: 0b11110, matchesAll: true, beforeTimeMs: undefined });
      expect(filter.matches(signalOf())).toBe(true);
    }
  });

  test("matches any of the types", () => {
    const filter = filterOf({ signalTypes: [SignalType.AGENT_INITIALIZED, SignalType.AGENT_COMPLETED] });
    expect(filter).toMatchObject({ typeMask: 0b00110, matchesAll: false });
    expect(filter.matches(signalOf())).toBe(true);
    expect(filter.matches(signalOf({ event: { case: "interAgentMessage", value: {} } }))).toBe(false);
  });

  test("knows that naming every type names all", () => {
    expect(filterOf({ signalTypes: [1, 2, 3, 4] }).matchesAll).toBe(true);
  });

  test("matches any of the senders, by name or by glob", () => {
    const filter = filterOf({ senderAgentIds: ["test-runner", "model-*"] });
    expect(filter.matchesAll).toBe(false);
    expect(filter.matches(signalOf())).toBe(true);
    expect(filter.matches(signalOf({ senderAgentId: "test-runner" }))).toBe(true);
    expect(filter.matches(signalOf({ senderAgentId: "test-runner-2" }))).toBe(false);
  });

  test("matches a priority or a higher one, and reads UNSPECIFIED as NORMAL", () => {
    const filter = filterOf({ minPriority: Priority.HIGH });
    const priorities = [Priority.LOW, Priority.NORMAL, Priority.HIGH, Priority.CONTROL];
    expect(priorities.map((priority) => filter.matches(signalOf({ priority })))).toEqual([false, false, true, true]);
    const normal = filterOf({ minPriority: Priority.NORMAL });
    expect(normal.matches(signalOf({ priority: Priority.UNSPECIFIED }))).toBe(true);
    expect(normal.matches(signalOf({ priority: Priority.LOW }))).toBe(false);
  });

  test("includes after_time and excludes before_time, to the nanosecond", () => {
    const filter = filterOf({ afterTime: { seconds: 1n, nanos: 1 }, beforeTime: { seconds: 2n, nanos: 5 } });
    const matches = (seconds: bigint, nanos: number) => filter.matches(signalOf({ timestamp: { seconds, nanos } }));
    expect(matches(1n, 0)).toBe(false);
    expect(matches(1n, 1)).toBe(true);
    expect(matches(2n, 4)).toBe(true);
    expect(matches(2n, 5)).toBe(false);
  });

  test("reports the end of its time in milliseconds, rounded up", () => {
    expect(filterOf({ beforeTime: timestampFromMs(1_500) }).beforeTimeMs).toBe(1_500);
    expect(filterOf({ beforeTime: { seconds: 1n, nanos: 500_000_001 } }).beforeTimeMs).toBe(1_501);
  });

  test("wants every metadata pair to be there with exactly that value", () => {
    const filter = filterOf({ metadata: { stage: "build", team: "" } });
    expect(filter.matches(signalOf({ metadata: { stage: "build", team: "", more: "x" } }))).toBe(true);
    expect(filter.matches(signalOf({ metadata: { stage: "build" } }))).toBe(false);
    expect(filter.matches(signalOf({ metadata: { stage: "Build", team: "" } }))).toBe(false);
  });

  test("does not take an object's own methods for metadata", () => {
    const filter = filterOf({ metadata: { toString: "x" } });
    expect(filter.matches(signalOf())).toBe(false);
    expect(filter.matches(signalOf({ metadata: { toString: "x" } }))).toBe(true);
  });

  test("wants the expression to be true", () => {
    const filter = filterOf({ expression: "signal.agent_completed.quality_score > 0.9" });
    expect(filter).toMatchObject({ typeMask: 0b11110, matchesAll: false });
    expect(filter.matches(signalOf())).toBe(true);
    expect(filter.matches(signalOf({ event: { case: "agentCompleted", value: { qualityScore: 0.5 } } }))).toBe(false);
  });

  test("asks the expression only when everything else matches", () => {
    const dear = `[${Array(25).fill("signal.recipient_agent_ids").join(", ")}].exists(ids, 'x' in ids)`;
    const filter = filterOf({ senderAgentIds: ["model-*"], expression: dear });
    const recipientAgentIds = Array<string>(100_000).fill("a");
    expect(filter.matches(signalOf({ recipientAgentIds, senderAgentId: "other" }))).toBe(false);
    expect(() => filter.matches(signalOf({ recipientAgentIds }))).toThrow("too many steps");
  });

  test("takes an expression from the compiler that it is given", () => {
    const expressions = new FilterExpressionCompiler();
    const filter = create(SignalFilterSchema, { expression: "signal.sequence == 0u" });
    expect(compileSignalFilter(filter, expressions).matches(signalOf())).toBe(true);
  });

  test("wants all parts at once", () => {
    const parts = { signalTypes: [SignalType.AGENT_COMPLETED], senderAgentIds: ["model-*"], metadata: { a: "1" } };
    const filter = filterOf(parts);
    expect(filter.matches(signalOf({ metadata: { a: "1" } }))).toBe(true);
    expect(filter.matches(signalOf({ metadata: { a: "2" } }))).toBe(false);
    expect(filter.matches(signalOf({ metadata: { a: "1" }, senderAgentId: "x" }))).toBe(false);
    expect(filter.matches(signalOf({ metadata: { a: "1" }, event: { case: "agentInitialized", value: {} } }))).toBe(
      false,
    );
  });

  test.each([
    [{ signalTypes: [0] }, "signal_types", "signal type is 0"],
    [{ signalTypes: [7] }, "signal_types", "signal type is 7, known are 1 to 4"],
    [{ minPriority: 9 }, "min_priority", "priority is 9, known are 0 to 4"],
    [{ afterTime: { nanos: -1 } }, "after_time", "nanos are -1, limit is 999999999"],
    [{ expression: "signal.sequnce == 1u" }, "expression", "at 1:7: coordination.v1.CoordinationSignal has no field"],
    [{ beforeTime: { seconds: 300_000_000_000n } }, "before_time", "seconds are 300000000000"],
  ])("refuses %j and says which part", (parts, part, message) => {
    const refusal = refusalOf(parts);
    expect(refusal).toMatchObject({ reason: "INVALID_FILTER", metadata: { part } });
    expect(refusal.message).toContain(`filter ${part}`);
    expect(refusal.message).toContain(message);
  });
});
