import { createRequire } from "node:module";
import { join } from "node:path";
import { runQuietly } from "./run-quietly.mjs";

const platforms = {
  "darwin arm64": "buf-darwin-arm64",
  "darwin x64": "buf-darwin-x64",
  "linux arm64": "buf-linux-aarch64",
  "linux x64": "buf-linux-x64",
};

/** Finds the buf that npm installed: the program itself, since its JavaScript wrapper passes no signals on. */
export function findBuf() {
  const name = platforms[`${process.platform} ${process.arch}`];
  if (name === undefined) return { reason: `buf has no program for ${process.platform} ${process.arch}` };
  const path = join(createRequire(import.meta.url).resolve(`@bufbuild/${name}/package.json`), "..", "bin", "buf");
  return runQuietly(path, ["--version"]) === undefined ? { reason: "the program of buf does not run" } : { path };
}
