/** The code generation workflow as its users run it: the built demo, or one agent, in a process of its own. */
import { createHash } from "node:crypto";
import { readdir, readFile } from "node:fs/promises";
import { createRequire } from "node:module";
import path from "node:path";
import { fileURLToPath } from "node:url";
import type { CommandResult } from "./run-command.js";
import { type SpawnedProcess, spawnProcess } from "./spawned-process.js";

const BUILT = fileURLToPath(new URL("../../client-sdk/examples/codegen-workflow/dist/", import.meta.url));

/** Runs the demo to its end. */
export async function runDemo(...args: readonly string[]): Promise<CommandResult> {
  const child = await startDemo(...args);
  const { code } = await child.exited;
  return { code, stdout: child.stdout(), stderr: child.stderr() };
}

const started = new Set<SpawnedProcess>();

/** Starts the demo. */
export function startDemo(...args: readonly string[]): Promise<SpawnedProcess> {
  return start("codegen-workflow", args);
}

/** Starts one agent by hand. */
export function startAgent(name: string, ...args: readonly string[]): Promise<SpawnedProcess> {
  return start(name, args);
}

/** Stops what was started and still runs: a test that failed leaves agents behind that wait for each other. */
export async function stopStarted(): Promise<void> {
  await Promise.all([...started].map((child) => child.stop()));
  started.clear();
}

async function start(program: string, args: readonly string[]): Promise<SpawnedProcess> {
  const child = await spawnProcess({ args: [path.join(BUILT, `${program}.js`), ...args] });
  started.add(child);
  return child;
}

/** Reads a JSON file of a package. */
export async function packageJson(specifier: string): Promise<unknown> {
  return JSON.parse(await readFile(createRequire(import.meta.url).resolve(specifier), "utf8"));
}

/** The digests of all files in a folder, by their paths in it. */
export async function digestsOf(folder: string): Promise<Readonly<Record<string, string>>> {
  const entries = await readdir(folder, { recursive: true, withFileTypes: true });
  const files = entries.filter((entry) => entry.isFile()).map((entry) => path.join(entry.parentPath, entry.name));
  const digests = await Promise.all(
    files.sort().map(async (file) => {
      const digest = createHash("sha256")
        .update(await readFile(file))
        .digest("hex");
      return [path.relative(folder, file), digest] as const;
    }),
  );
  return Object.fromEntries(digests);
}
