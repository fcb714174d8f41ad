import type { JsonObject, JsonValue } from "@bufbuild/protobuf";
import { invalidOption } from "../errors/invalid-option.js";

/** Nesting that the server accepts. */
const maxDepth = 64;

/**
 * Copies a JSON object, so that changes after the call change nothing. Fields that are undefined are left out, as by
 * `JSON.stringify`. Throws InvalidRequestError for what is no JSON: encoding would silently turn a Date into {}, a bigint
 * into null.
 */
export function copyJsonObject(value: JsonObject, name: string): JsonObject {
  const copy = copyJson(value, name, 1);
  if (typeof copy === "object" && copy !== null && !Array.isArray(copy)) return copy;
  throw invalidOption(`${name} is not a JSON object`);
}

function copyJson(value: unknown, path: string, depth: number): JsonValue {
  if (depth > maxDepth) throw invalidOption(`${path.slice(0, 100)}... is nested more than ${maxDepth} deep`);
  switch (typeof value) {
    case "string":
    case "boolean":
      return value;
    case "number":
      if (Number.isFinite(value)) return value;
      throw invalidOption(`${path} is ${value}, which is no JSON`);
    case "object":
      return value === null ? null : copyStructure(value, path, depth);
    default:
      throw invalidOption(`${path} is a ${typeof value}, which is no JSON`);
  }
}

function copyStructure(value: object, path: string, depth: number): JsonValue {
  if (Array.isArray(value)) return value.map((item, index) => copyJson(item, `${path}[${index}]`, depth + 1));
  if (!isPlain(value)) throw invalidOption(`${path} is a ${value.constructor.name}, which is no JSON`);
  const copy: JsonObject = {};
  for (const [key, field] of Object.entries(value)) {
    if (field !== undefined) define(copy, key, copyJson(field, `${path}.${key}`, depth + 1));
  }
  return copy;
}

// Objects of another realm (a frame, a test's sandbox) have another Object.prototype, but its prototype is null as well.
function isPlain(value: object): boolean {
  const prototype: unknown = Object.getPrototypeOf(value);
  return prototype === null || Object.getPrototypeOf(prototype) === null;
}

// Assigning to "__proto__" would change the copy's prototype instead.
function define(copy: JsonObject, key: string, value: JsonValue): void {
  Object.defineProperty(copy, key, { value, enumerable: true, configurable: true, writable: true });
}
