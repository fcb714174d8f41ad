/** What coverage measures: the built files of the server and the SDK, which tests and spawned processes both run. */
import { existsSync, readdirSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";

export const root = fileURLToPath(new URL("../..", import.meta.url));

/** Where the raw measurements of one run lie. */
export const rawDirectory = join(root, "coverage", "raw");

const packages = ["server", "client-sdk"];

/** The measured packages' built folders. */
const builtFolders = packages.map((name) => join(root, name, "dist"));

/** Those of V8's measured scripts that are measured files. */
export function measuredScripts(scripts) {
  return scripts.filter(({ url }) => url.startsWith("file:") && isMeasured(fileURLToPath(url)));
}

function isMeasured(path) {
  return path.endsWith(".js") && builtFolders.some((folder) => path.startsWith(`${folder}/`));
}

/** Every measured file, loaded by a test or not; what an earlier build left behind of a source that is gone is none. */
export function measuredFiles() {
  return builtFolders.flatMap((folder) =>
    readdirSync(folder, { recursive: true })
      .map((name) => join(folder, name))
      .filter((file) => isMeasured(file) && existsSync(file.replace("/dist/", "/src/").replace(/[.]js$/, ".ts"))),
  );
}

/** The folders whose share of covered lines is held against the limit. */
export const sourceFolders = packages.map((name) => join(root, name, "src"));
