import { isJsonObject, type JsonObject, type JsonValue } from "../json-value.js";

/** The two names under which dialects keep definitions. */
export const definitionKeywords = ["definitions", "$defs"] as const;
export type DefinitionKeyword = (typeof definitionKeywords)[number];

/** Where a reference of the form `#/definitions/NAME...` or `#/$defs/NAME...` leads. */
export interface DefinitionReference {
  readonly keyword: DefinitionKeyword;
  readonly name: string;
}

/** Keywords whose arrays hold data, not schemas: a `$ref` inside is a plain word. */
const dataKeywords: ReadonlySet<string> = new Set(["enum", "examples"]);

/** Lists every `$ref` in a schema, each once, in the order of the text. Walks without recursion: a document may nest deeper than the stack. */
export function referencesIn(schema: JsonValue): readonly string[] {
  const references = new Set<string>();
  const pending: JsonValue[] = [schema];
  for (let value = pending.pop(); value !== undefined; value = pending.pop()) {
    if (Array.isArray(value)) {
      for (const child of value.toReversed()) pending.push(child);
    } else if (isJsonObject(value)) {
      const reference = value["$ref"];
      if (typeof reference === "string") references.add(reference);
      for (const [key, child] of Object.entries(value).toReversed()) {
        if (!(dataKeywords.has(key) && Array.isArray(child))) pending.push(child);
      }
    }
  }
  return [...references];
}

/** Reads a reference into the document's definitions; undefined when it leads elsewhere. */
export function definitionReferenceFrom(reference: string): DefinitionReference | undefined {
  const [root, keyword, segment] = reference.split("/", 3);
  if (root !== "#" || segment === undefined) return undefined;
  const known = definitionKeywords.find((candidate) => candidate === keyword);
  if (known === undefined) return undefined;
  return { keyword: known, name: nameFromSegment(segment) };
}

/** Writes the reference to a definition (RFC 6901, in a URI fragment). */
export function referenceTo(definition: DefinitionReference): string {
  const segment = definition.name.replaceAll("~", "~0").replaceAll("/", "~1");
  return `#/${definition.keyword}/${encodeURI(segment).replaceAll("#", "%23")}`;
}

/** Finds the definition that a reference names; undefined when the document has none, or the reference leads deeper or elsewhere. */
export function resolveReference(document: JsonObject, reference: string): JsonValue | undefined {
  const definition = definitionReferenceFrom(reference);
  if (definition === undefined || reference.split("/").length !== 3) return undefined;
  const definitions = document[definition.keyword];
  if (!isJsonObject(definitions) || !Object.hasOwn(definitions, definition.name)) return undefined;
  return definitions[definition.name];
}

function nameFromSegment(segment: string): string {
  let decoded = segment;
  try {
    decoded = decodeURIComponent(segment);
  } catch {
    // A bare % is not valid in a fragment, yet documents have it: take the segment as it stands.
  }
  return decoded.replaceAll("~1", "/").replaceAll("~0", "~");
}
