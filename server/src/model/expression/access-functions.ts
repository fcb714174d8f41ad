// What looks into a value: a field, a key, an item, and whether it is there. A key whose value is null is there, and a number
// is no text; the library's maps say otherwise, so they are asked for the value of a key that they have.
import {
  type CelFunc,
  type CelInput,
  type CelMap,
  CelScalar,
  type CelValue,
  celFunc,
  celType,
  isCelList,
  isCelMap,
  isCelUint,
  mapType,
} from "@bufbuild/cel";
import { isReflectMessage } from "@bufbuild/protobuf/reflect";
import type { EvaluationMeter } from "./evaluation-meter.js";
import { isStructField } from "./expression-type.js";
import { meteredFunction } from "./metered-expression.js";
import type { StructValues } from "./struct-value.js";
import { textSteps } from "./text-steps.js";

const { BOOL, DOUBLE, DYN, INT, STRING, UINT } = CelScalar;
const map = mapType(DYN, DYN);

/** What can be asked for in a map. */
type CelKey = Parameters<CelMap["get"]>[0];

/** The functions that rewritten expressions call for accesses, and `in` for maps. */
export function accessFunctions(meter: EvaluationMeter, structs: StructValues): readonly CelFunc[] {
  return [
    celFunc(meteredFunction.struct, [DYN, STRING], DYN, (target, field) => structIn(target, field, structs)),
    celFunc(meteredFunction.index, [DYN, DYN], DYN, (target, key) => itemAt(target, key, meter)),
    celFunc(meteredFunction.has, [DYN, STRING], BOOL, isPresent),
    ...[STRING, DOUBLE, INT, BOOL, UINT].map((keyType) =>
      celFunc("@in", [keyType, map], BOOL, (key, target) => {
        meter.charge(1);
        chargeLookUp(target, key, meter);
        return valueAt(target, key) !== undefined;
      }),
    ),
  ];
}

/** Texts are looked up at once, other keys are compared with each in turn. */
function chargeLookUp(target: CelMap, key: CelValue, meter: EvaluationMeter): void {
  meter.charge(typeof key === "string" ? textSteps(key) : target.size);
}

function structIn(target: CelValue, name: string, structs: StructValues): CelInput {
  if (isReflectMessage(target)) {
    const field = target.desc.fields.find((candidate) => candidate.name === name);
    if (field === undefined || !isStructField(field)) throw new Error(`field not found: ${name}`);
    return structs.valueOf(Reflect.get(target.message, field.localName));
  }
  return itemOfMap(target, name);
}

function isPresent(target: CelValue, name: string): boolean {
  if (isCelMap(target)) return target.get(name) !== undefined;
  if (!isReflectMessage(target)) throw new Error(`${celType(target).name} has no fields`);
  const field = target.desc.fields.find((candidate) => candidate.name === name);
  if (field === undefined) throw new Error(`field not found: ${name}`);
  return target.isSet(field);
}

function itemAt(target: CelValue, key: CelValue, meter: EvaluationMeter): CelInput {
  if (isCelList(target)) {
    const item = target.get(indexOf(key));
    if (item === undefined) throw new Error(`no such item in a list of ${target.size}`);
    return item;
  }
  if (isCelMap(target)) chargeLookUp(target, key, meter);
  return itemOfMap(target, key);
}

function indexOf(key: CelValue): number {
  if (isCelUint(key)) return Number(key.value);
  return typeof key === "bigint" || typeof key === "number" ? Number(key) : Number.NaN;
}

function valueAt(target: CelMap, key: CelKey): CelValue | undefined {
  if (typeof key === "string") return target.get(key);
  const sought = comparableKey(key);
  for (const known of target.keys()) if (comparableKey(known) === sought) return target.get(known);
  return undefined;
}

/** Numbers of all kinds are one key when they are of one value. */
function comparableKey(key: CelKey): bigint | boolean | string | number {
  if (isCelUint(key)) return key.value;
  return typeof key === "number" && Number.isInteger(key) ? BigInt(key) : key;
}

function itemOfMap(target: CelValue, key: CelValue): CelInput {
  if (!isCelMap(target)) throw new Error(`${celType(target).name} has no items`);
  if (typeof key === "object" && !isCelUint(key)) throw new Error(`${celType(key).name} is no key`);
  const item = valueAt(target, key);
  if (item === undefined) throw new Error(`no such key: ${String(key)}`);
  return item;
}
