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
  celType,
  isCelError,
  isCelList,
  isCelMap,
  isCelUint,
  listType,
} from "@bufbuild/cel";
import { isReflectMessage } from "@bufbuild/protobuf/reflect";
import type { EvaluationMeter } from "./evaluation-meter.js";
import type { ExpressionPatterns } from "./expression-patterns.js";
import { isStructField } from "./expression-type.js";
import { meteredFunction } from "./metered-expression.js";
import type { StructValues } from "./struct-value.js";

const { BOOL, BYTES, DYN, INT, STRING } = CelScalar;
const list = listType(DYN);

/** Characters or bytes that are compared, copied or counted in one step. */
const unitsPerStep = 256;
/** What one search of a text for another compares in one step. */
const comparisonsPerStep = 256;
/** A search for a longer text skips ahead by no more than this. */
const longestSkip = 250;
/** Instructions of a pattern, each applied to one character, in one step. */
const instructionsPerStep = 5;
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
    celMethod("matches", STRING, [STRING], BOOL, function (source) {
      const pattern = state.patterns?.find(source);
      if (pattern === undefined) throw new Error("pattern was not compiled");
      meter.charge(1 + (this.length * pattern.instructions) / instructionsPerStep);
      return pattern.test(this);
    }),
    celFunc("_+_", [list, list], list, (left, right) => {
      meter.charge(1 + left.size + right.size);
      return celList([...left, ...right]);
    }),
    ...rewrittenFunctions(state),
  ];
}

function sizeFunctions(meter: EvaluationMeter): readonly CelFunc[] {
  const size = (text: string): bigint => {
    meter.charge(1 + text.length / unitsPerStep);
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

function rewrittenFunctions({ meter, structs }: EvaluationState): readonly CelFunc[] {
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
    celFunc(meteredFunction.struct, [DYN, STRING], DYN, (target, field) => structIn(target, field, structs)),
    celFunc(meteredFunction.index, [DYN, DYN], DYN, (target, key) => itemAt(target, key, meter)),
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
  if (name === "@in" && parameters[1]?.kind === "map") return (value) => chargeLookUp(value, parameters[0], meter);
  if (name === "_==_" || name === "_!=_" || name === "@in") return (value) => chargeDeeply(value, meter);
  if ((name === "int" || name === "uint") && parameters[0] === STRING) return refuseLongNumber;
  if (target !== undefined && target.kind === "object" && parameters[0] === STRING) {
    return () => meter.charge(timeZoneSteps);
  }
  return (value) => meter.charge(unitsOf(value) / unitsPerStep);
}

/** Strings are looked up at once; a number is compared with each unsigned key in turn. */
function chargeLookUp(value: CelValue, keyType: CelType | undefined, meter: EvaluationMeter): void {
  meter.charge(isCelMap(value) && keyType !== STRING ? value.size : unitsOf(value) / unitsPerStep);
}

function unitsOf(value: CelValue): number {
  return typeof value === "string" || value instanceof Uint8Array ? value.length : 0;
}

function chargeDeeply(value: CelValue, meter: EvaluationMeter): void {
  meter.charge(1 + unitsOf(value) / unitsPerStep);
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

function structIn(target: CelValue, name: string, structs: StructValues): CelInput {
  if (isReflectMessage(target)) {
    const field = target.desc.fields.find((candidate) => candidate.name === name);
    if (field === undefined || !isStructField(field)) throw new Error(`field not found: ${name}`);
    return structs.valueOf(Reflect.get(target.message, field.localName));
  }
  return itemOfMap(target, name);
}

function itemAt(target: CelValue, key: CelValue, meter: EvaluationMeter): CelInput {
  if (isCelList(target)) {
    const item = target.get(indexOf(key));
    if (item === undefined) throw new Error(`no such item in a list of ${target.size}`);
    return item;
  }
  chargeLookUp(target, typeof key === "string" ? STRING : DYN, meter);
  return itemOfMap(target, key);
}

function indexOf(key: CelValue): number {
  if (isCelUint(key)) return Number(key.value);
  return typeof key === "bigint" || typeof key === "number" ? Number(key) : Number.NaN;
}

function itemOfMap(target: CelValue, key: CelValue): CelInput {
  if (!isCelMap(target)) throw new Error(`${celType(target).name} has no items`);
  if (typeof key === "object" && !isCelUint(key)) throw new Error(`${celType(key).name} is no key`);
  const item = target.get(key);
  if (item === undefined) throw new Error(`no such key: ${String(key)}`);
  return item;
}
