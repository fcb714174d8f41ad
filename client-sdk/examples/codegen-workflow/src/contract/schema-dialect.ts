import type { JsonObject } from "../json-value.js";

/** The dialects of JSON Schema that can be compiled, and the URI each declares as `$schema`. */
export const dialectUris = {
  "draft-06": "http://json-schema.org/draft-06/schema#",
  "draft-07": "http://json-schema.org/draft-07/schema#",
  "2019-09": "https://json-schema.org/draft/2019-09/schema",
  "2020-12": "https://json-schema.org/draft/2020-12/schema",
} as const;

export type SchemaDialect = keyof typeof dialectUris;

/**
 * Tells the dialect of a schema; undefined when it declares one that is not supported. Without `$schema`, a schema that uses
 * `$defs` is of the newest dialect, any other of draft-07, the one most tools assume.
 */
export function dialectOf(schema: JsonObject): SchemaDialect | undefined {
  const declared = schema["$schema"];
  if (declared === undefined) return Object.hasOwn(schema, "$defs") ? "2020-12" : "draft-07";
  if (typeof declared !== "string") return undefined;
  return dialects.find((dialect) => comparable(dialectUris[dialect]) === comparable(declared));
}

const dialects = Object.keys(dialectUris) as readonly SchemaDialect[];

/** Documents write the same URI with and without an empty fragment, and with either scheme. */
function comparable(uri: string): string {
  return uri.replace(/#$/, "").replace(/^https:/, "http:");
}
