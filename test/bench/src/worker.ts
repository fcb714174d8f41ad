/** Does one measurement: starts the server, publishes and subscribes, tells what it found. Started by the bench. */
import type { ModeContext } from "./modes/bench-mode.js";
import { modeTable } from "./modes/mode-table.js";
import { fullScale, quickScale } from "./modes/scale.js";
import type { ServerProcess } from "./servers/server-process.js";
import type { BenchSystem, StartOptions } from "./systems/bench-system.js";
import { systemTable } from "./systems/system-table.js";
import type { WorkerJob, WorkerMessage } from "./worker-job.js";

process.once("message", (job: WorkerJob) => {
  void work(job);
});
process.on("unhandledRejection", (error) => end({ kind: "failed", reason: reasonOf(error) }));

async function work(job: WorkerJob): Promise<void> {
  const system = systemTable[job.system];
  const context: ModeContext = {
    system,
    scale: job.quick ? quickScale : fullScale,
    startServer: (options) => startServer(system, job, options),
  };
  try {
    const measurement = await modeTable[job.mode].run(context);
    end({ kind: "measured", measurement });
  } catch (error) {
    end({ kind: "failed", reason: reasonOf(error) });
  }
}

async function startServer(system: BenchSystem, job: WorkerJob, options: StartOptions = {}): Promise<ServerProcess> {
  const nodeArguments = [...profiling(system, job), ...(options.nodeArguments ?? [])];
  const server = await system.startServer({ ...options, nodeArguments });
  tell({ kind: "serverStarted", pid: server.pid });
  return {
    ...server,
    [Symbol.asyncDispose]: async () => {
      await server[Symbol.asyncDispose]();
      tell({ kind: "serverStopped", pid: server.pid });
    },
  };
}

function profiling({ runsOnNode }: BenchSystem, { profileDirectory, system, mode }: WorkerJob): readonly string[] {
  if (profileDirectory === undefined || !runsOnNode) return [];
  return ["--cpu-prof", "--cpu-prof-dir", profileDirectory, "--cpu-prof-name", `${mode}-${system}-server.cpuprofile`];
}

function tell(message: WorkerMessage): void {
  process.send?.(message);
}

/** Whatever a failed measurement left open must not keep the process. */
function end(message: WorkerMessage): void {
  process.send?.(message, () => process.exit(message.kind === "measured" ? 0 : 1));
}

function reasonOf(error: unknown): string {
  return error instanceof Error ? (error.stack ?? error.message) : String(error);
}
