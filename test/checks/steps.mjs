/**
 * Runs named steps one after the other and tells each one's verdict and duration. All run, so that one run names every
 * fault. The last line is `N passed, N failed`.
 */
import { spawn } from "node:child_process";
import { delimiter, join } from "node:path";
import { fileURLToPath } from "node:url";

export const root = fileURLToPath(new URL("../..", import.meta.url));

/** Commands are looked up among the packages' own first. */
const env = { ...process.env, PATH: [join(root, "node_modules", ".bin"), process.env.PATH].join(delimiter) };

/**
 * Runs the steps whose names are given, or all. A step's output is shown when it fails.
 *
 * @param {Record<string, string[]>} steps name to command and arguments; `node` is the running Node
 * @param {string[]} names
 * @returns {Promise<boolean>} whether all passed
 */
export async function runSteps(steps, names = []) {
  const unknown = names.filter((name) => steps[name] === undefined);
  if (unknown.length > 0) throw new Error(`no step ${unknown.join(", ")}; there are ${Object.keys(steps).join(", ")}`);
  const chosen = Object.entries(steps).filter(([name]) => names.length === 0 || names.includes(name));
  let failed = 0;
  for (const [name, command] of chosen) {
    const started = performance.now();
    const { passed, output } = await run(command);
    const seconds = ((performance.now() - started) / 1000).toFixed(1);
    console.log(`${passed ? "ok  " : "FAIL"} ${name} (${seconds} s)`);
    if (!passed) {
      failed += 1;
      console.log(`     ${command.join(" ")}\n${output}`);
    }
  }
  console.log(`${chosen.length - failed} passed, ${failed} failed`);
  return failed === 0;
}

function run([program, ...args]) {
  return new Promise((resolve) => {
    const child = spawn(program === "node" ? process.execPath : program, args, {
      cwd: root,
      env,
      stdio: ["ignore", "pipe", "pipe"],
    });
    const chunks = [];
    child.stdout.on("data", (chunk) => chunks.push(chunk));
    child.stderr.on("data", (chunk) => chunks.push(chunk));
    child.once("error", (error) => resolve({ passed: false, output: error.message }));
    child.once("close", (code) => resolve({ passed: code === 0, output: Buffer.concat(chunks).toString() }));
  });
}
