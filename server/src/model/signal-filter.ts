// A filter is compiled once per reader into a list of tests, the cheap ones first, so that a signal which fails early
// costs little and an unset part costs nothing.
import type { Timestamp } from "@bufbuild/protobuf/wkt";
import {
  type CoordinationSignal,
  Priority,
  type SignalFilter,
} from "@coordination-signals/proto/coordination/v1/signal";
import { CoordinationError } from "./coordination-error.js";
import type { EvaluationTurns } from "./expression/evaluation-turns.js";
import { FilterExpressionCompiler } from "./filter-expression.js";
import { compileGlob, isGlob } from "./glob.js";
import { signalTypeOfEvent, signalTypeSlots, signalTypes } from "./signal-type.js";

/** A filter that is ready to be asked. */
export interface CompiledFilter {
  /** One bit per signal type that can match (`1 << type`); every type's bit when the filter names none. */
  readonly typeMask: number;
  /** Whether every signal matches, so that a reader need not decode a signal to know. */
  readonly matchesAll: boolean;
  /** Signals accepted at this time, in milliseconds since 1970, or later cannot match; undefined when there is no end. */
  readonly beforeTimeMs: number | undefined;
  /** Counts what the evaluations of its expression take, where it has one. */
  readonly turns?: EvaluationTurns | undefined;
  /** Whether every set part matches. Throws FILTER_BUDGET_EXCEEDED when the expression is too dear for this signal. */
  matches(signal: CoordinationSignal): boolean;
}

type Test = (signal: CoordinationSignal) => boolean;

/** The bits of all types. */
export const allTypesMask = maskOf(signalTypes);
/** What most readers have: one for all of them. */
const matchesEverything: CompiledFilter = {
  typeMask: allTypesMask,
  matchesAll: true,
  beforeTimeMs: undefined,
  matches: () => true,
};
const nanosPerMillisecond = 1_000_000;
const nanosPerSecond = 1_000_000_000;
// The years 1 and 9999: what google.protobuf.Timestamp can say.
const leastSeconds = -62_135_596_800n;
const greatestSeconds = 253_402_300_799n;

/**
 * Compiles a filter; undefined is the empty filter, which matches all. The parts that are set must all match.
 * Throws INVALID_FILTER with metadata `part` for what the contract's field rules cannot express: a type, priority or
 * time that does not exist, an expression that cannot be compiled (then with metadata `position`, too).
 *
 * @param expressions compiles the expression and remembers it for the next reader. Default: one that is used once.
 */
export function compileSignalFilter(
  filter: SignalFilter | undefined,
  expressions?: FilterExpressionCompiler,
): CompiledFilter {
  if (filter === undefined) return matchesEverything;
  const compiler = filter.expression === "" ? undefined : (expressions ?? new FilterExpressionCompiler());
  const tests = testsOf(filter, compiler);
  const [first] = tests;
  if (first === undefined) return matchesEverything;
  return {
    typeMask: typeMaskOf(filter),
    matchesAll: false,
    beforeTimeMs: filter.beforeTime === undefined ? undefined : ceilingMs(filter.beforeTime),
    turns: compiler?.turns,
    matches: tests.length === 1 ? first : (signal) => tests.every((test) => test(signal)),
  };
}

function testsOf(filter: SignalFilter, compiler: FilterExpressionCompiler | undefined): readonly Test[] {
  const parts = [
    typeTest(filter),
    priorityTest(filter.minPriority),
    afterTest(filter.afterTime),
    beforeTest(filter.beforeTime),
    senderTest(filter.senderAgentIds),
    metadataTest(filter.metadata),
    expressionTest(filter.expression, compiler),
  ];
  return parts.filter((test) => test !== undefined);
}

function typeMaskOf(filter: SignalFilter): number {
  return filter.signalTypes.length === 0 ? allTypesMask : maskOf(filter.signalTypes);
}

function typeTest({ signalTypes: wanted }: SignalFilter): Test | undefined {
  if (wanted.length === 0) return undefined;
  for (const type of wanted) {
    if (!Number.isInteger(type) || type < 1 || type >= signalTypeSlots) {
      throw invalidFilter("signal_types", `signal type is ${type}, known are 1 to ${signalTypeSlots - 1}`);
    }
  }
  const mask = maskOf(wanted);
  return mask === allTypesMask ? undefined : (signal) => ((1 << signalTypeOfEvent(signal.event)) & mask) !== 0;
}

function priorityTest(least: Priority): Test | undefined {
  if (Priority[least] === undefined) {
    throw invalidFilter("min_priority", `priority is ${least}, known are 0 to ${Priority.CONTROL}`);
  }
  if (least <= Priority.LOW) return undefined;
  return ({ priority }) => (priority === Priority.UNSPECIFIED ? Priority.NORMAL : priority) >= least;
}

function afterTest(time: Timestamp | undefined): Test | undefined {
  if (time === undefined) return undefined;
  const checked = checkedTime("after_time", time);
  return ({ timestamp }) => timestamp !== undefined && compareTimes(timestamp, checked) >= 0;
}

function beforeTest(time: Timestamp | undefined): Test | undefined {
  if (time === undefined) return undefined;
  const checked = checkedTime("before_time", time);
  return ({ timestamp }) => timestamp !== undefined && compareTimes(timestamp, checked) < 0;
}

function senderTest(patterns: readonly string[]): Test | undefined {
  if (patterns.length === 0) return undefined;
  const names = new Set(patterns.filter((pattern) => !isGlob(pattern)));
  const globs = patterns.filter(isGlob).map(compileGlob);
  return ({ senderAgentId }) => names.has(senderAgentId) || globs.some((matches) => matches(senderAgentId));
}

function metadataTest(wanted: Readonly<Record<string, string>>): Test | undefined {
  const pairs = Object.entries(wanted);
  if (pairs.length === 0) return undefined;
  return ({ metadata }) => pairs.every(([key, value]) => metadata[key] === value);
}

function expressionTest(text: string, compiler: FilterExpressionCompiler | undefined): Test | undefined {
  if (compiler === undefined) return undefined;
  const expression = compiler.compile(text);
  return (signal) => expression.matches(signal);
}

function maskOf(types: readonly number[]): number {
  return types.reduce((mask, type) => mask | (1 << type), 0);
}

function checkedTime(part: string, time: Timestamp): Timestamp {
  if (time.nanos < 0 || time.nanos >= nanosPerSecond) {
    throw invalidFilter(part, `nanos are ${time.nanos}, limit is ${nanosPerSecond - 1}`);
  }
  if (time.seconds < leastSeconds || time.seconds > greatestSeconds) {
    throw invalidFilter(part, `seconds are ${time.seconds}, limits are ${leastSeconds} and ${greatestSeconds}`);
  }
  return time;
}

function compareTimes(left: Timestamp, right: Timestamp): number {
  if (left.seconds !== right.seconds) return left.seconds < right.seconds ? -1 : 1;
  return left.nanos - right.nanos;
}

/** Rounded up: at this millisecond nothing accepted later can still be before the time. */
function ceilingMs(time: Timestamp): number {
  return Number(time.seconds) * 1000 + Math.ceil(time.nanos / nanosPerMillisecond);
}

function invalidFilter(part: string, message: string): CoordinationError {
  return new CoordinationError("INVALID_FILTER", `filter ${part}: ${message}`, { metadata: { part } });
}
