/**
 * Generated validators call a few functions of their compiler: the length of a string in characters, deep equality, formats.
 * These files are copied beside the validators, so that the folder works anywhere, without the packages.
 */
import { readFile } from "node:fs/promises";
import { createRequire } from "node:module";

/** One CommonJS file of the run time. */
export interface RuntimeModule {
  /** The name it has beside the validators. */
  readonly fileName: string;
  /** The name under which validators import it. */
  readonly variable: string;
  /** What to require to find it among the installed packages. */
  readonly specifier: string;
  /** The modules that it requires itself, found from where it is. */
  readonly requires: readonly RuntimeModule[];
}

function runtimeModule(specifier: string, variable: string, requires: readonly RuntimeModule[] = []): RuntimeModule {
  return { fileName: `${specifier.split("/").at(-1)}.cjs`, variable, specifier, requires };
}

/** Everything that code compiled from JSON Schema can require. */
const runtimeModules: readonly RuntimeModule[] = [
  runtimeModule("ajv-formats/dist/formats", "runtimeFormats"),
  runtimeModule("ajv/dist/runtime/ucs2length", "runtimeUcs2length"),
  runtimeModule("ajv/dist/runtime/equal", "runtimeEqual", [runtimeModule("fast-deep-equal", "runtimeFastDeepEqual")]),
];

/**
 * Names the file that stands for what compiled code requires.
 * @throws Error when the code needs a module that is not carried.
 */
export function runtimeModuleOf(specifier: string): RuntimeModule {
  const found = runtimeModules.find((candidate) => candidate.specifier === specifier);
  if (found === undefined) throw new Error(`the validator needs ${specifier}, which cannot be carried along`);
  return found;
}

/** Reads the files that stand for a module and for what it requires: their texts by file name. */
export async function runtimeFiles(module: RuntimeModule): Promise<ReadonlyMap<string, string>> {
  const files = new Map<string, string>();
  const pending = [{ module, resolve: createRequire(import.meta.url).resolve }];
  for (let next = pending.pop(); next !== undefined; next = pending.pop()) {
    const filePath = next.resolve(next.module.specifier);
    files.set(next.module.fileName, carriedText(next.module, await readFile(filePath, "utf8")));
    const { resolve } = createRequire(filePath);
    pending.push(...next.module.requires.map((required) => ({ module: required, resolve })));
  }
  return files;
}

/** The text of a module, its own requirements pointing at the files beside it. */
function carriedText({ specifier, requires }: RuntimeModule, text: string): string {
  let carried = text.replace(/^\/\/# sourceMappingURL=.*$/m, "").trimEnd();
  for (const required of requires) carried = carried.replaceAll(`"${required.specifier}"`, `"./${required.fileName}"`);
  return `/* Copied from ${specifier} (MIT), which generated validators call. */\n${carried}\n`;
}
