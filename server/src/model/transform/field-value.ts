import { type CelValue, isCelList, isCelMap, isCelUint } from "@bufbuild/cel";
import { type DescField, type JsonObject, type JsonValue, ScalarType, toJson } from "@bufbuild/protobuf";
import { isReflectMessage } from "@bufbuild/protobuf/reflect";
import { isStructField } from "../expression/expression-type.js";
import { maxSignalBytes } from "../limits.js";

/** A value that is larger than a signal can be. */
export class OversizeError extends Error {
  override readonly name = "OversizeError";
}

/**
 * An expression's value as a field, or the part of one below a key, holds it; undefined when it cannot (a number for a
 * text). Throws OversizeError.
 */
export function fieldValueOf(field: DescField, isBelowKey: boolean, value: CelValue): unknown {
  const json = jsonOf(value, { left: maxSignalBytes });
  if (isStructField(field)) return isBelowKey || isObject(json) ? json : undefined;
  switch (field.fieldKind) {
    case "map":
      if (isBelowKey) return asText(json);
      return isObject(json) && Object.values(json).every(isText) ? json : undefined;
    case "list":
      return Array.isArray(json) && json.every(isText) ? json : undefined;
    case "scalar":
      return field.scalar === ScalarType.STRING ? asText(json) : ofScalar(field.scalar, json);
    default:
      return undefined;
  }
}

function ofScalar(scalar: ScalarType, json: JsonValue | undefined): unknown {
  if (scalar === ScalarType.BOOL) return typeof json === "boolean" ? json : undefined;
  return scalar === ScalarType.DOUBLE && typeof json === "number" ? json : undefined;
}

/** Values can be mentioned many times in one expression at no cost, but each has to be sent. */
function jsonOf(value: CelValue, budget: { left: number }): JsonValue | undefined {
  budget.left -= typeof value === "string" || value instanceof Uint8Array ? value.length + 1 : 1;
  if (budget.left < 0) throw new OversizeError(`value is larger than ${maxSignalBytes} bytes`);
  if (value === null || typeof value === "string" || typeof value === "boolean") return value;
  if (typeof value === "number") return Number.isFinite(value) ? value : undefined;
  if (typeof value === "bigint") return numberOrText(value);
  if (isCelUint(value)) return numberOrText(value.value);
  if (value instanceof Uint8Array) return Buffer.from(value).toString("base64");
  if (isCelList(value)) return Array.from(value, (item) => jsonOf(item, budget) ?? null);
  if (isCelMap(value)) return objectOf(value, budget);
  return isReflectMessage(value) ? toJson(value.desc, value.message) : undefined;
}

function objectOf(map: Iterable<readonly [unknown, CelValue]>, budget: { left: number }): JsonObject {
  const entries = Array.from(map, ([key, item]) => {
    const name = String(key);
    budget.left -= name.length;
    return [name, jsonOf(item, budget) ?? null] as const;
  });
  return Object.fromEntries(entries);
}

/** As in protobuf's JSON: a number that a double cannot hold exactly is its digits. */
function numberOrText(value: bigint): JsonValue {
  return Number.isSafeInteger(Number(value)) ? Number(value) : String(value);
}

function isObject(json: JsonValue | undefined): json is JsonObject {
  return typeof json === "object" && json !== null && !Array.isArray(json);
}

function isText(json: JsonValue | undefined): json is string {
  return typeof json === "string";
}

function asText(json: JsonValue | undefined): string | undefined {
  return isText(json) ? json : undefined;
}
