import type { JsonObject, JsonValue } from "@bufbuild/protobuf";
import { CoordinationError } from "./coordination-error.js";
import { maxStructDepth } from "./limits.js";

/**
 * A Struct with its keys in order at every level, so that equal contents encode to equal bytes whatever order the sender's
 * language kept. Throws INVALID_REQUEST past 30 levels, and for a number that JSON cannot say.
 */
export function canonicalObject(value: JsonObject, field: string, depth = 1): JsonObject {
  if (depth > maxStructDepth) {
    throw new CoordinationError("INVALID_REQUEST", `${field} is nested deeper than ${maxStructDepth} levels`);
  }
  const sorted: JsonObject = Object.create(null);
  for (const key of Object.keys(value).sort()) {
    const item = value[key];
    if (item !== undefined) sorted[key] = canonicalValue(item, field, depth + 1);
  }
  return sorted;
}

/** A string map with its keys in order. */
export function sortedMap(map: Readonly<Record<string, string>>): Record<string, string> {
  const keys = Object.keys(map);
  if (keys.length < 2) return { ...map };
  return Object.fromEntries(keys.sort().map((key) => [key, map[key] ?? ""]));
}

function canonicalValue(value: JsonValue, field: string, depth: number): JsonValue {
  if (Array.isArray(value)) {
    if (depth > maxStructDepth) {
      throw new CoordinationError("INVALID_REQUEST", `${field} is nested deeper than ${maxStructDepth} levels`);
    }
    return value.map((item) => canonicalValue(item, field, depth + 1));
  }
  // The binary form can carry NaN and the infinities; a reader that speaks JSON could never be sent them.
  if (typeof value === "number" && !Number.isFinite(value)) {
    throw new CoordinationError("INVALID_REQUEST", `${field} holds the number ${value}, which is not finite`);
  }
  return value !== null && typeof value === "object" ? canonicalObject(value, field, depth) : value;
}
