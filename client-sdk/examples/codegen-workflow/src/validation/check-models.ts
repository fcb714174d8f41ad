import path from "node:path";
import ts from "typescript";
import { maxDiagnosticsPerModel, maxSummaryLineLength } from "../limits.js";

/** A generated model that does not type-check. */
export interface ModelProblem {
  readonly file: string;
  /** The first diagnostics, each with its line. */
  readonly diagnostics: readonly string[];
}

/**
 * Type-checks files together, strictly, with nothing of the surroundings: no configuration, no installed types.
 * @param folder what the files are relative to.
 */
export function checkModels(folder: string, files: readonly string[]): readonly ModelProblem[] {
  const program = ts.createProgram({
    rootNames: files.map((file) => path.join(folder, file)),
    options: {
      strict: true,
      noEmit: true,
      types: [],
      lib: ["lib.es2022.d.ts"],
      target: ts.ScriptTarget.ES2022,
      module: ts.ModuleKind.ESNext,
      moduleResolution: ts.ModuleResolutionKind.Bundler,
      skipDefaultLibCheck: true,
    },
  });
  const problems: ModelProblem[] = [];
  for (const file of files) {
    const source = program.getSourceFile(path.join(folder, file));
    const diagnostics =
      source === undefined
        ? ["cannot be read"]
        : [...program.getSyntacticDiagnostics(source), ...program.getSemanticDiagnostics(source)].map(describe);
    if (diagnostics.length > 0) problems.push({ file, diagnostics: diagnostics.slice(0, maxDiagnosticsPerModel) });
  }
  return problems;
}

function describe({ file, start, code, messageText }: ts.Diagnostic): string {
  const line = file === undefined ? 1 : ts.getLineAndCharacterOfPosition(file, start ?? 0).line + 1;
  return `line ${line}: TS${code} ${ts.flattenDiagnosticMessageText(messageText, " ")}`.slice(0, maxSummaryLineLength);
}
