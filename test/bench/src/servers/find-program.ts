import { execFile } from "node:child_process";
import { accessSync, constants } from "node:fs";
import { delimiter, join } from "node:path";
import { promisify } from "node:util";

/** Where packages put servers although an ordinary user's PATH may not name it. */
const systemDirectories = ["/usr/sbin", "/usr/local/sbin", "/sbin"];

const run = promisify(execFile);

/** Finds a program in the PATH or where servers are; undefined when it is not installed. */
export function findProgram(name: string, furtherDirectories: readonly string[] = []): string | undefined {
  const path = (process.env["PATH"] ?? "").split(delimiter);
  const candidates = [...path, ...systemDirectories, ...furtherDirectories].map((directory) => join(directory, name));
  return candidates.find(isExecutable);
}

/** The first version number in what a program says when it is asked. */
export async function programVersion(program: string, args: readonly string[] = ["--version"]): Promise<string> {
  const { stdout } = await run(program, [...args]);
  return stdout.match(/\d+(\.\d+)+/)?.[0] ?? "unknown";
}

function isExecutable(path: string): boolean {
  try {
    accessSync(path, constants.X_OK);
    return true;
  } catch {
    return false;
  }
}
