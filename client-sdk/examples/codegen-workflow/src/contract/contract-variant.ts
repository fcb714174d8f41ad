/**
 * A contract that is a union reports the errors of every member when a payload fails, which tells a reader nothing. Members
 * mostly differ by a property with one allowed value, such as `action`; it says which member the payload was meant to be.
 */
import { isJsonObject, type JsonObject, type JsonValue } from "../json-value.js";
import { definitionReferenceFrom, resolveReference } from "./schema-references.js";

/** One member of a contract's union. */
export interface ContractVariant {
  /** Its position in the union, from 0. */
  readonly index: number;
  /** The name of its definition. */
  readonly name: string;
  /** Where it is in the contract's schema. */
  readonly pointer: string;
}

/** A variant and the properties of which it enumerates the values. */
interface DiscriminatedVariant extends ContractVariant {
  readonly allowed: ReadonlyMap<string, readonly JsonValue[]>;
}

/**
 * Finds the member of a contract's union that a payload was meant to be: the only one whose constant properties it has.
 * Undefined when the contract is no union of definitions, or when none or several fit.
 */
export function variantOf(schema: JsonObject, payload: JsonValue): ContractVariant | undefined {
  if (!isJsonObject(payload)) return undefined;
  const fitting = variantsOf(schema).filter(({ allowed }) => allowed.size > 0 && fits(payload, allowed));
  const [only] = fitting;
  if (only === undefined || fitting.length > 1) return undefined;
  return { index: only.index, name: only.name, pointer: only.pointer };
}

/** Finds a member of a contract's union by its place; undefined when there is none. */
export function variantAt(schema: JsonObject, pointer: string): ContractVariant | undefined {
  return variantsOf(schema).find((variant) => variant.pointer === pointer);
}

/** The schema of one member of a contract's union, with everything it refers to. */
export function variantSchema(schema: JsonObject, { pointer }: ContractVariant): JsonObject {
  return Object.fromEntries([
    ...Object.entries(schema).filter(([keyword]) => ["$schema", "definitions", "$defs"].includes(keyword)),
    ["$ref", pointer],
  ]);
}

/** The members of a contract's union that are definitions. */
function variantsOf(schema: JsonObject): readonly DiscriminatedVariant[] {
  const root = followed(schema, schema);
  const union = isJsonObject(root) ? (root["oneOf"] ?? root["anyOf"]) : undefined;
  if (!Array.isArray(union)) return [];
  return union.flatMap((member, index) => {
    const pointer = isJsonObject(member) ? member["$ref"] : undefined;
    const name = typeof pointer === "string" ? definitionReferenceFrom(pointer)?.name : undefined;
    if (typeof pointer !== "string" || name === undefined) return [];
    return [{ index, name, pointer, allowed: allowedValues(schema, member) }];
  });
}

/** The properties of which a schema enumerates the values, its own and those of its `allOf`. */
function allowedValues(document: JsonObject, member: JsonValue): ReadonlyMap<string, readonly JsonValue[]> {
  const schema = followed(document, member);
  if (!isJsonObject(schema)) return new Map();
  const parts = Array.isArray(schema["allOf"]) ? schema["allOf"].map((part) => followed(document, part)) : [];
  const allowed = new Map<string, readonly JsonValue[]>();
  for (const part of [...parts, schema]) {
    const properties = isJsonObject(part) ? part["properties"] : undefined;
    if (!isJsonObject(properties)) continue;
    for (const [name, property] of Object.entries(properties)) {
      if (!isJsonObject(property)) continue;
      if (Array.isArray(property["enum"])) allowed.set(name, property["enum"]);
      else if (property["const"] !== undefined) allowed.set(name, [property["const"]]);
    }
  }
  return allowed;
}

/** Follows one chain of references; a definition that refers to itself ends it. */
function followed(document: JsonObject, schema: JsonValue): JsonValue {
  const seen = new Set<string>();
  let current = schema;
  while (isJsonObject(current) && typeof current["$ref"] === "string" && !seen.has(current["$ref"])) {
    seen.add(current["$ref"]);
    current = resolveReference(document, current["$ref"]) ?? true;
  }
  return current;
}

function fits(payload: JsonObject, allowed: ReadonlyMap<string, readonly JsonValue[]>): boolean {
  return [...allowed].every(
    ([name, values]) => !Object.hasOwn(payload, name) || values.some((value) => value === payload[name]),
  );
}
