import type { ErrorObject } from "ajv";
import standaloneCode from "ajv/dist/standalone/index.js";
import { dialectOf } from "../contract/schema-dialect.js";
import type { JsonObject } from "../json-value.js";
import { createSchemaCompiler } from "./schema-compiler.js";
import { type RuntimeModule, runtimeModuleOf } from "./validator-runtime.js";

/** What a generated validator exports as `validate` and as default: true when the value fits, else false with the errors beside it. */
export interface Validator {
  (value: unknown): boolean;
  readonly errors?: readonly ErrorObject[] | null;
}

/** A validator as text, and the modules that it imports. */
export interface ValidatorSource {
  readonly text: string;
  readonly runtimeModules: readonly RuntimeModule[];
}

/**
 * Writes the validator of a contract as an ES module that needs no package: what it takes from its compiler's run time it imports
 * from files under `runtimeFolder`. The same contract gives the same text.
 * @param runtimeFolder where the module will find the run time, relative to itself, for example `./runtime`.
 * @throws Error when the contract cannot be compiled.
 */
export function validatorSource(schema: JsonObject, runtimeFolder: string): ValidatorSource {
  const dialect = dialectOf(schema);
  if (dialect === undefined) throw new Error(`$schema ${JSON.stringify(schema["$schema"])} is not supported`);
  const compiler = createSchemaCompiler(dialect);
  return withImports(standaloneCode.default(compiler, compiler.compile(schema)), runtimeFolder);
}

/**
 * The compiler writes `require("package/file")` even into ES modules. Turns each into an import. Text out of the contract cannot be
 * taken for one: inside a string literal its quotes are escaped.
 */
function withImports(code: string, runtimeFolder: string): ValidatorSource {
  const modules = new Map<string, RuntimeModule>();
  const body = code.replace(/\brequire\("([^"\\]+)"\)/g, (_match, specifier: string) => {
    const runtimeModule = runtimeModuleOf(specifier);
    modules.set(specifier, runtimeModule);
    return runtimeModule.variable;
  });
  const runtimeModules = [...modules.values()];
  const imports = runtimeModules.map(
    ({ variable, fileName }) => `import ${variable} from "${runtimeFolder}/${fileName}";`,
  );
  return { text: [...imports, body, ""].join("\n"), runtimeModules };
}
