/**
 * Merges what tests and spawned processes measured into one coverage map of the sources.
 *
 * All ran the same built files, so V8's counts add up before anything is translated; each file is then translated once,
 * by its source map, into Istanbul's statements. A file that nothing loaded counts with no line covered.
 */
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath, pathToFileURL } from "node:url";
import { mergeProcessCovs } from "@bcoe/v8-coverage";
import { parse } from "acorn";
import { convert } from "ast-v8-to-istanbul";
import istanbulCoverage from "istanbul-lib-coverage";
import { measuredFiles, measuredScripts, rawDirectory } from "./measured-files.mjs";

/** The coverage of every source of the measured files. */
export async function mergedCoverage() {
  const scripts = readScripts();
  const map = istanbulCoverage.createCoverageMap({});
  for (const file of measuredFiles()) {
    map.merge(await translate(file, scripts.get(file)));
  }
  return map;
}

/** The merged V8 coverage by path. */
function readScripts() {
  const processes = existsSync(rawDirectory) ? readdirSync(rawDirectory).map(readProcess) : [];
  return new Map(mergeProcessCovs(processes).result.map((script) => [fileURLToPath(script.url), script]));
}

function readProcess(name) {
  const { result } = JSON.parse(readFileSync(join(rawDirectory, name), "utf8"));
  return { result: measuredScripts(result) };
}

function translate(file, script) {
  const code = readFileSync(file, "utf8");
  return convert({
    code,
    ast: parse(code, { ecmaVersion: "latest", sourceType: "module", locations: true, allowHashBang: true }),
    sourceMap: JSON.parse(readFileSync(`${file}.map`, "utf8")),
    coverage: script ?? neverRun(file, code),
  });
}

function neverRun(file, code) {
  const ranges = [{ startOffset: 0, endOffset: code.length, count: 0 }];
  return {
    url: pathToFileURL(file).href,
    scriptId: "0",
    functions: [{ functionName: "", ranges, isBlockCoverage: true }],
  };
}
