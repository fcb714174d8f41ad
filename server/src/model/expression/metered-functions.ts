import {
  type CelEnv,
  type CelFunc,
  type CelInput,
  type CelList,
  CelScalar,
  type CelType,
  type CelValue,
  celFunc,
  celList,
  celMethod,
  isCelError,
  isCelList,
  isCelMap,
  listType,
} from "@bufbuild/cel";
import { isReflectMessage } from "@bufbuild/protobuf/reflect";
import { accessFunctions } from "./access-functions.js";
import type { EvaluationMeter } from "./evaluation-meter.js";
import type { ExpressionPatterns } from "./expression-patterns.js";
import { meteredFunction } from "./metered-expression.js";
import type { StructValues } from "./struct-value.js";
import { textSteps } from "./text-steps.js";

const { BOOL, BYTES, DYN, INT, STRING } = CelScalar;
const list = listType(DYN);

/** What one search of a text for another compares in one step. */
const comparisonsPerStep = 256;
/** A search for a longer text skips ahead by no more than this. */
const longestSkip = 250;
/** A formatter for a time zone is made anew at each call. */
const timeZoneSteps = 1_000;
/** Times and durations are made anew as messages. */
const timeSteps = 10;
/** Comparing two whole messages walks all their fields; a signal is at most 256 KiB. */
const messageComparisonSteps = 20_000;
/** No number has more characters; the conversion takes time quadratic in them. */
const longestNumber = 64;

/** What the functions work with beside their arguments; one expression's patterns at a time. */
export interface EvaluationState {
  readonly meter: EvaluationMeter;
  readonly structs: StructValues;
  patterns: ExpressionPatterns | undefined;
}

/**
 * The functions of the standard whose cost depends on their arguments' size, each behind a charge, and those that only
 * rewritten expressions call.
 */
export function meteredFunctions(standard: CelEnv, state: EvaluationState): readonly CelFunc[] {
  const { meter } = state;
  return [
    ...[...standard.funcs].filter(hasVariableCost).map((func) => metered(func, meter)),
    ...sizeFunctions(meter),
    celMethod("contains", STRING, [STRING], BOOL, function (part) {
      meter.charge(1 + (this.length * Math.min(part.length, longestSkip)) / comparisonsPerStep);
      return this.includes(part);
    }),
    celFunc("_+_", [list, list], list, (left, right) => {
      meter.charge(1 + left.size + right.size);
      return celList([...left, ...right]);
    }),
    ...accessFunctions(meter, state.structs),
    ...comprehensionFunctions(meter),
  ];
}

function sizeFunctions(meter: EvaluationMeter): readonly CelFunc[] {
  const size = (text: string): bigint => {
    meter.charge(1 + textSteps(text));
    let count = 0n;
    for (let index = 0; index < text.length; index += (text.codePointAt(index) ?? 0) > 0xffff ? 2 : 1) count += 1n;
    return count;
  };
  return [
    celFunc("size", [STRING], INT, size),
    celMethod("size", STRING, [], INT, function () {
      return size(this);
    }),
  ];
}

function comprehensionFunctions(meter: EvaluationMeter): readonly CelFunc[] {
  // Which arrays stand behind the lists that `@append` may extend: those of a comprehension that is being evaluated.
  const growing = new WeakMap<CelList, CelValue[]>();
  return [
    celFunc(meteredFunction.charge, [INT], BOOL, (steps) => {
      meter.charge(Number(steps));
      return true;
    }),
    celFunc(meteredFunction.range, [DYN], DYN, (range) => {
      if (isCelList(range) || isCelMap(range)) meter.charge(1 + range.size);
      return range;
    }),
    celFunc(meteredFunction.list, [], list, () => {
      const items: CelValue[] = [];
      const result = celList(items);
      growing.set(result, items);
      return result;
    }),
    celFunc(meteredFunction.append, [list, DYN], list, (result, item) => {
      const items = growing.get(result);
      if (items === undefined) throw new Error("list cannot be extended");
      items.push(item);
      return result;
    }),
  ];
}

function hasVariableCost({ target, arguments: parameters, result }: CelFunc): boolean {
  return [target, ...parameters, result].some((type) => type !== undefined && isCostly(type));
}

function isCostly(type: CelType): boolean {
  return type === STRING || type === BYTES || type === DYN || type.kind !== "scalar";
}

function metered(func: CelFunc, meter: EvaluationMeter): CelFunc {
  const charge = chargeOf(func, meter);
  const base = [func.target, ...func.arguments, func.result].some((type) => type?.kind === "object") ? timeSteps : 1;
  const call = (target: CelValue | undefined, args: CelValue[]): CelInput => {
    meter.charge(base);
    if (target !== undefined) charge(target);
    for (const arg of args) charge(arg);
    const result = func.call(0, target, args);
    if (result === undefined) throw new Error("no overload fits");
    if (isCelError(result)) throw result;
    return result;
  };
  return func.target === undefined
    ? celFunc(func.name, func.arguments, func.result, (...args) => call(undefined, args))
    : celMethod(func.name, func.target, func.arguments, func.result, function (...args) {
        return call(this, args);
      });
}

function chargeOf({ name, target, arguments: parameters }: CelFunc, meter: EvaluationMeter): (value: CelValue) => void {
  if (name === "_==_" || name === "_!=_" || name === "@in") return (value) => chargeDeeply(value, meter);
  if ((name === "int" || name === "uint") && parameters[0] === STRING) return refuseLongNumber;
  if (target !== undefined && target.kind === "object" && parameters[0] === STRING) {
    return () => meter.charge(timeZoneSteps);
  }
  return (value) => meter.charge(textSteps(value));
}

function chargeDeeply(value: CelValue, meter: EvaluationMeter): void {
  meter.charge(1 + textSteps(value));
  if (isCelList(value)) {
    for (const item of value) chargeDeeply(item, meter);
  } else if (isCelMap(value)) {
    for (const [, item] of value) chargeDeeply(item, meter);
  } else if (isReflectMessage(value) && !value.desc.typeName.startsWith("google.protobuf.")) {
    meter.charge(messageComparisonSteps);
  }
}

function refuseLongNumber(value: CelValue): void {
  if (typeof value === "string" && value.length > longestNumber) {
    throw new Error(`number has ${value.length} characters, limit is ${longestNumber}`);
  }
}
