// Runs the conformance suite of the Connect project against the port: gRPC, gRPC-Web and Connect over HTTP/1.1 and HTTP/2.
// The suite is built with Go once and stays in .cache beside this file. Without Go it is skipped, with the reason.
import { spawnSync } from "node:child_process";
import { existsSync, mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { judgeOutput } from "./judge-output.mjs";

const VERSION = "v1.0.7";
const MODULE = "connectrpc.com/conformance";
const LIMIT_MS = 240_000;
const INSTALL_LIMIT_MS = 600_000;
const MAX_OUTPUT_BYTES = 64 * 1024 * 1024;

const cache = fileURLToPath(new URL(".cache", import.meta.url));
const directory = join(cache, `connectconformance-${VERSION}`);
const suite = join(directory, process.platform === "win32" ? "connectconformance.exe" : "connectconformance");
const contract = join(directory, "contract.binpb");
const config = fileURLToPath(new URL("config.yaml", import.meta.url));
const server = fileURLToPath(new URL("conformance-server.ts", import.meta.url));

mkdirSync(directory, { recursive: true });
const reason = install();
if (reason === undefined) {
  process.exitCode = run() ? 0 : 1;
} else {
  console.log(`skipped: ${reason}`);
  console.log("0 passed, 0 failed, 1 skipped");
}

/** Builds the suite and reads its contract where they are not there; answers why it cannot. */
function install() {
  if (existsSync(suite) && existsSync(contract)) return undefined;
  if (quietly("go", ["version"]) === undefined) return "there is no go on the path";
  const build = ["install", `${MODULE}/cmd/connectconformance@${VERSION}`];
  if (quietly("go", build, { GOBIN: directory }) === undefined) return `go install of ${MODULE} ${VERSION} failed`;
  const module = quietly("go", ["mod", "download", "-json", `${MODULE}@${VERSION}`]);
  if (module === undefined) return `the contract of ${MODULE} ${VERSION} could not be had`;
  const protos = join(JSON.parse(module).Dir, "proto");
  return quietly("buf", ["build", protos, "-o", contract]) === undefined ? "buf cannot read its contract" : undefined;
}

function quietly(command, args, env = {}) {
  const result = spawnSync(command, args, {
    env: { ...process.env, ...env },
    encoding: "utf8",
    timeout: INSTALL_LIMIT_MS,
  });
  return result.status === 0 ? result.stdout : undefined;
}

function run() {
  const command = [process.execPath, "--import", import.meta.resolve("tsx"), server, contract];
  const result = spawnSync(suite, ["--mode", "server", "--conf", config, "--", ...command], {
    encoding: "utf8",
    timeout: LIMIT_MS,
    maxBuffer: MAX_OUTPUT_BYTES,
  });
  const output = `${result.stdout}${result.stderr}`;
  writeFileSync(join(cache, "output.log"), output);
  const verdict = judgeOutput(output);
  if (verdict === undefined) {
    console.log(`the suite did not end: ${result.error?.message ?? output.slice(-2_000)}`);
    console.log("0 passed, 1 failed");
    return false;
  }
  const { passed, explained, faults, unread } = verdict;
  for (const { name, mismatches } of faults) console.log(`FAILED ${name}\n  ${mismatches.join("\n  ")}`);
  if (explained > 0) console.log(`${explained} cases deviate as known-deviations.mjs explains`);
  console.log(`${passed} passed, ${faults.length + unread} failed`);
  return faults.length + unread === 0;
}
