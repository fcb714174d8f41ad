import { spawnSync } from "node:child_process";
import { appendFileSync } from "node:fs";
import { fileURLToPath } from "node:url";

const log = fileURLToPath(new URL("../.cache/install.log", import.meta.url));

/** Runs a program to its end, its output to the log. Answers its standard output, or undefined when it failed. */
export function runQuietly(command, args, { cwd, env } = {}) {
  const result = spawnSync(command, args, { cwd, env: { ...process.env, ...env }, encoding: "utf8", timeout: 600_000 });
  appendFileSync(
    log,
    `$ ${command} ${args.join(" ")}\n${result.error ?? ""}${result.stdout ?? ""}${result.stderr ?? ""}\n`,
  );
  return result.status === 0 ? result.stdout : undefined;
}
