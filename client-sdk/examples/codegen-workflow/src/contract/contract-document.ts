import { readFile, stat } from "node:fs/promises";
import path from "node:path";
import { createSchemaCompiler } from "../generation/schema-compiler.js";
import { isJsonObject, type JsonObject, type JsonValue } from "../json-value.js";
import { maxContractBytes } from "../limits.js";
import { WorkflowInputError } from "../workflow-input-error.js";
import { dialectOf, dialectUris, type SchemaDialect } from "./schema-dialect.js";

/** A JSON Schema that has been read and found valid in its dialect. */
export interface ContractDocument {
  /** What to call it where it has no title: its file's name without the ending. */
  readonly name: string;
  readonly dialect: SchemaDialect;
  readonly schema: JsonObject;
}

/** Words of which a JSON Schema has at least one at its root. A JSON file without any accepts everything, which nobody means. */
const rootKeywords = [
  "$schema",
  "$ref",
  "$defs",
  "definitions",
  "type",
  "properties",
  "items",
  "required",
  "enum",
  "const",
  "allOf",
  "anyOf",
  "oneOf",
  "not",
  "if",
] as const;

const maxReportedErrors = 3;

/**
 * Reads a contract from a file.
 * @throws WorkflowInputError when the file cannot be read, is too large, or is no JSON Schema of a supported dialect.
 */
export async function readContractDocument(filePath: string, signal?: AbortSignal): Promise<ContractDocument> {
  let text: string;
  try {
    const { size } = await stat(filePath);
    if (size > maxContractBytes) {
      throw new WorkflowInputError(`contract ${filePath} is ${size} bytes, limit is ${maxContractBytes}`);
    }
    text = await readFile(filePath, { encoding: "utf8", ...(signal === undefined ? {} : { signal }) });
  } catch (error) {
    if (error instanceof WorkflowInputError || signal?.aborted === true) throw error;
    throw new WorkflowInputError(`cannot read contract ${filePath}: ${(error as Error).message}`, { cause: error });
  }
  return contractDocumentFromText(text, filePath);
}

/**
 * Takes a contract from the text of a file.
 * @throws WorkflowInputError when the text is no JSON Schema of a supported dialect.
 */
export function contractDocumentFromText(text: string, filePath: string): ContractDocument {
  let schema: JsonValue;
  try {
    schema = JSON.parse(text);
  } catch (error) {
    throw new WorkflowInputError(`contract ${filePath} is not JSON: ${(error as Error).message}`, { cause: error });
  }
  if (!isJsonObject(schema)) {
    throw new WorkflowInputError(`contract ${filePath} is not a JSON Schema: its root is not an object`);
  }
  if (typeof schema["openapi"] === "string" || typeof schema["swagger"] === "string") {
    throw new WorkflowInputError(`contract ${filePath} is an OpenAPI document, not a JSON Schema`);
  }
  if (!rootKeywords.some((keyword) => Object.hasOwn(schema, keyword))) {
    throw new WorkflowInputError(
      `contract ${filePath} is not a JSON Schema: its root has none of ${rootKeywords.join(", ")}`,
    );
  }
  const dialect = checkedDialectOf(schema, filePath);
  checkAgainstMetaSchema(schema, dialect, filePath);
  return { name: path.basename(filePath).replace(/(\.schema)?\.json$/i, ""), dialect, schema };
}

function checkedDialectOf(schema: JsonObject, filePath: string): SchemaDialect {
  const dialect = dialectOf(schema);
  if (dialect !== undefined) return dialect;
  throw new WorkflowInputError(
    `contract ${filePath} declares $schema ${JSON.stringify(schema["$schema"])}; supported are ${Object.keys(dialectUris).join(", ")}`,
  );
}

function checkAgainstMetaSchema(schema: JsonObject, dialect: SchemaDialect, filePath: string): void {
  const compiler = createSchemaCompiler(dialect);
  if (compiler.validateSchema(schema) === true) return;
  const errors = (compiler.errors ?? []).slice(0, maxReportedErrors);
  const reasons = errors.map((error) => `${error.instancePath || "the root"} ${error.message ?? error.keyword}`);
  throw new WorkflowInputError(`contract ${filePath} is not a valid JSON Schema (${dialect}): ${reasons.join("; ")}`);
}
