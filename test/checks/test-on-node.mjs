// Runs the tests, and the servers that they spawn, on another version of Node: `npm run test:node22`, with jest's arguments
// for some of them, and with --coverage as `npm run coverage` does. The version is pinned and comes from npm, into a folder
// that is removed again.
import { spawnSync } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";

const root = fileURLToPath(new URL("../..", import.meta.url));
const [version, ...given] = process.argv.slice(2);
const isMeasured = given.includes("--coverage");
const jestArguments = given.filter((argument) => argument !== "--coverage");
const name = `node-${process.platform}-${process.arch}`;
const directory = mkdtempSync(join(tmpdir(), "coordination-node-"));
try {
  const node = install();
  console.log(`Node ${run(node, ["--version"], "pipe").stdout.toString().trim()}`);
  const command = isMeasured ? [join(root, "test", "coverage", "coverage.mjs")] : jestCommand();
  process.exitCode = run(node, [...command, ...jestArguments], "inherit").status ?? 1;
} finally {
  rmSync(directory, { recursive: true, force: true });
}

function jestCommand() {
  const flags = ["--experimental-vm-modules", "--disable-warning=ExperimentalWarning"];
  return [...flags, join(root, "node_modules", "jest", "bin", "jest.js"), "-c", join(root, "test", "jest.config.js")];
}

function install() {
  const options = ["--prefix", directory, "--no-save", "--no-audit", "--no-fund", "--loglevel=silent"];
  const { status } = run("npm", ["install", ...options, `${name}@${version}`], "ignore");
  if (status !== 0) throw new Error(`npm could not install ${name}@${version}`);
  return join(directory, "node_modules", name, "bin", "node");
}

function run(command, args, stdio) {
  return spawnSync(command, args, { cwd: root, stdio });
}
