import {
  definitionKeywords,
  definitionReferenceFrom,
  referenceTo,
  resolveReference,
} from "../contract/schema-references.js";
import { isJsonObject, type JsonObject, type JsonValue } from "../json-value.js";

/** A copy of a contract's schema in the form from which the compiler of types makes the best of it. It changes its input anyway. */
export function modelSchema(schema: JsonObject): JsonObject {
  const rooted = withOwnRoot(structuredClone(schema));
  for (const part of objectsIn(rooted)) turnTuple(part);
  return rooted;
}

/**
 * Moves the definition that the root refers to into the root itself: the types of a definition that refers back to itself
 * would be written twice, once for the root. Only where nothing is lost: the root has no constraint beside its reference, the
 * definition no definitions of its own.
 */
function withOwnRoot(schema: JsonObject): JsonObject {
  const { $ref: pointer, ...rest } = schema;
  const definition = typeof pointer === "string" ? definitionReferenceFrom(pointer) : undefined;
  const root = typeof pointer === "string" ? resolveReference(schema, pointer) : undefined;
  const isPlain = Object.keys(rest).every((keyword) => ["$schema", ...definitionKeywords].includes(keyword));
  if (definition === undefined || !isPlain || !isJsonObject(root)) return schema;
  if (definitionKeywords.some((keyword) => Object.hasOwn(root, keyword))) return schema;
  const definitions = rest[definition.keyword];
  if (isJsonObject(definitions)) delete definitions[definition.name];
  const rooted = { ...rest, ...root };
  for (const part of objectsIn(rooted)) renameReference(part, referenceTo(definition));
  return rooted;
}

/** Turns a reference to a definition, or into it, into one to the root. */
function renameReference(part: JsonObject, pointer: string): void {
  const reference = part["$ref"];
  if (typeof reference !== "string") return;
  const target = definitionReferenceFrom(reference);
  if (target === undefined || referenceTo(target) !== pointer) return;
  part["$ref"] = ["#", ...reference.split("/").slice(3)].join("/");
}

/** Turns a tuple of 2020-12 (`prefixItems`, then `items` for the rest) into one of draft-07 (`items`, then `additionalItems`). */
function turnTuple(part: JsonObject): void {
  const { prefixItems, items } = part;
  if (!Array.isArray(prefixItems)) return;
  if (items !== undefined) part["additionalItems"] = items;
  part["items"] = prefixItems;
  delete part["prefixItems"];
}

/** Every object in a value, itself included. Without recursion: a document may nest deeper than the stack. */
function* objectsIn(value: JsonValue): Generator<JsonObject, void, undefined> {
  const pending: JsonValue[] = [value];
  for (let next = pending.pop(); next !== undefined; next = pending.pop()) {
    if (isJsonObject(next)) yield next;
    if (typeof next === "object" && next !== null) for (const child of Object.values(next)) pending.push(child);
  }
}
