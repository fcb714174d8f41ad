import { fork } from "node:child_process";
import { fileURLToPath } from "node:url";
import type { Measurement } from "./modes/bench-mode.js";
import type { WorkerJob, WorkerMessage } from "./worker-job.js";

/** How one measurement went. */
export type WorkerOutcome =
  | { readonly measurement: Measurement }
  /** It could not be done, or something was lost, doubled or reordered. */
  | { readonly failure: string };

const worker = fileURLToPath(new URL("worker.js", import.meta.url));
/** How long one measurement may take, in milliseconds: filling a store with a million signals takes the longest. */
const timeoutMs = 600_000;

/** Has a process of its own do one measurement; stops whatever that leaves behind. */
export async function runWorker(job: WorkerJob, signal: AbortSignal): Promise<WorkerOutcome> {
  const child = fork(worker, [], { execArgv: profiling(job) });
  const servers = new Set<number>();
  const stop = () => child.kill("SIGKILL");
  const timer = setTimeout(stop, timeoutMs);
  signal.addEventListener("abort", stop);
  try {
    return await new Promise<WorkerOutcome>((resolve) => {
      let outcome: WorkerOutcome = { failure: `the measurement was ended (it may take ${timeoutMs} ms)` };
      child.on("message", (message: WorkerMessage) => {
        switch (message.kind) {
          case "serverStarted":
            return void servers.add(message.pid);
          case "serverStopped":
            return void servers.delete(message.pid);
          case "measured":
            outcome = { measurement: message.measurement };
            return;
          case "failed":
            outcome = { failure: message.reason };
        }
      });
      child.once("error", (error) => resolve({ failure: error.message }));
      child.once("close", () => resolve(outcome));
      child.send(job);
    });
  } finally {
    clearTimeout(timer);
    signal.removeEventListener("abort", stop);
    for (const pid of servers) killIfRunning(pid);
  }
}

function profiling({ profileDirectory, mode, system }: WorkerJob): string[] {
  if (profileDirectory === undefined) return [];
  return ["--cpu-prof", "--cpu-prof-dir", profileDirectory, "--cpu-prof-name", `${mode}-${system}-client.cpuprofile`];
}

function killIfRunning(pid: number): void {
  try {
    process.kill(pid, "SIGKILL");
  } catch (error) {
    if (!(error instanceof Error && "code" in error && error.code === "ESRCH")) throw error;
  }
}
