import { createRequire } from "node:module";
import { Ajv, type Options } from "ajv";
import { Ajv2019 } from "ajv/dist/2019.js";
import { Ajv2020 } from "ajv/dist/2020.js";
import formats from "ajv-formats";
import type { SchemaDialect } from "../contract/schema-dialect.js";
import type { JsonObject } from "../json-value.js";

const options: Options = {
  // Contracts carry keywords of other tools; JSON Schema says to ignore what is unknown.
  strict: false,
  // A failed payload should name every error, not only the first.
  allErrors: true,
  // One function per definition instead of a copy at each reference: half the code, and half the time.
  inlineRefs: false,
  // Unknown formats are ignored, as the specification says; a line per use would drown the rest.
  logger: false,
  code: { source: true, esm: true, lines: true },
};

/** Creates a compiler of one dialect, with the formats of the specification. Each contract gets its own, so that none sees another's names. */
export function createSchemaCompiler(dialect: SchemaDialect): Ajv {
  const compiler = compilerOf(dialect);
  formats.default(compiler);
  return compiler;
}

function compilerOf(dialect: SchemaDialect): Ajv {
  switch (dialect) {
    case "draft-06": {
      const compiler = new Ajv(options);
      const metaSchema: JsonObject = createRequire(import.meta.url)("ajv/dist/refs/json-schema-draft-06.json");
      return compiler.addMetaSchema(metaSchema);
    }
    case "draft-07":
      return new Ajv(options);
    case "2019-09":
      return new Ajv2019(options);
    case "2020-12":
      return new Ajv2020(options);
  }
}
