import { compile } from "json-schema-to-typescript";
import type { JsonObject } from "../json-value.js";
import { modelSchema } from "./model-schema.js";

const banner = "/* Generated from a contract; changes are lost when it is generated again. */";

/**
 * Writes the TypeScript types of a contract, formatted. The same contract gives the same text.
 * @throws Error when the contract cannot be expressed.
 */
export async function modelSource(schema: JsonObject, typeName: string): Promise<string> {
  return compile(modelSchema(schema), typeName, {
    bannerComment: banner,
    unreachableDefinitions: false,
    // Never opens a file or a URL on behalf of a contract.
    $refOptions: { resolve: { external: false } },
  });
}
