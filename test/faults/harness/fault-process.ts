import { type SpawnedProcess, type SpawnOptions, spawnProcess } from "../../support/spawned-process.js";

const running = new Set<SpawnedProcess>();

// A program that fails ends at once: what it has started must not outlive it.
process.once("exit", () => {
  for (const child of running) child.kill("SIGKILL");
});

/** Starts a process that is killed, at the latest, when this one ends. */
export async function spawnFaultProcess(options: SpawnOptions): Promise<SpawnedProcess> {
  const child = await spawnProcess(options);
  running.add(child);
  void child.exited.then(() => running.delete(child));
  return child;
}
