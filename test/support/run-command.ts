import { type SpawnOptions, spawnProcess } from "./spawned-process.js";

/** How a command ended and what it wrote. */
export interface CommandResult {
  readonly code: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

/** Runs a command to its end. */
export async function runCommand(options: SpawnOptions): Promise<CommandResult> {
  await using child = await spawnProcess(options);
  const { code } = await child.exited;
  return { code, stdout: child.stdout(), stderr: child.stderr() };
}
