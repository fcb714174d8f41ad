import { createHash } from "node:crypto";
import { mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { runQuietly } from "./run-quietly.mjs";

const root = fileURLToPath(new URL("../../..", import.meta.url));
const requirements = fileURLToPath(new URL("../python/requirements.txt", import.meta.url));
const contract = join(root, "proto", "coordination", "v1");

/**
 * Makes a virtual environment with the pinned packages, once, and generates the stubs as the README shows.
 * Answers the environment's python; the stubs lie in `stubs`.
 */
export function installPython(cache) {
  const stamp = createHash("sha256").update(readFileSync(requirements)).digest("hex").slice(0, 12);
  const directory = join(cache, `python-${stamp}`);
  const path = join(directory, "bin", "python");
  const ready = join(directory, "ready");
  if (runQuietly(path, [ready]) === undefined) {
    rmSync(directory, { recursive: true, force: true });
    const reason = createEnvironment(directory, path);
    if (reason !== undefined) return { reason };
    writeFileSync(ready, "");
  }
  const stubs = join(cache, "python-stubs");
  return generateStubs(path, stubs) ? { path, stubs } : { reason: "the stubs could not be generated" };
}

function createEnvironment(directory, path) {
  if (runQuietly("python3", ["--version"]) === undefined) return "no python3 on the path";
  if (runQuietly("python3", ["-m", "venv", directory]) === undefined) return "python3 has no venv module";
  const pip = ["-m", "pip", "install", "--disable-pip-version-check", "--requirement", requirements];
  return runQuietly(path, pip) === undefined ? "pip install of the pinned packages failed" : undefined;
}

function generateStubs(python, stubs) {
  rmSync(stubs, { recursive: true, force: true });
  mkdirSync(stubs, { recursive: true });
  const files = readdirSync(contract).map((name) => `proto/coordination/v1/${name}`);
  const protoc = ["-m", "grpc_tools.protoc", "-I", "proto", "-I", "proto/vendor"];
  const outputs = [`--python_out=${stubs}`, `--grpc_python_out=${stubs}`];
  return (
    runQuietly(python, [...protoc, ...outputs, ...files, "buf/validate/validate.proto"], { cwd: root }) !== undefined
  );
}
