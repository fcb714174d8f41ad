import { readFile } from "node:fs/promises";
import type { ServerProcess } from "../servers/server-process.js";

/** What a measurement cost. */
export interface Usage {
  /** Processor time of the process that publishes and subscribes, in seconds. */
  readonly clientCpuSeconds: number;
  /** Processor time of the server, in seconds. */
  readonly serverCpuSeconds: number;
  /** Resident memory of the server at its end, in MiB. */
  readonly serverRssMb: number;
}

/** Kernel ticks in a second, which Linux fixes at 100 for what it shows in /proc. */
const ticksPerSecond = 100;

/** Starts to measure; the answer ends it. Where there is no /proc, the server's figures are not numbers. */
export async function meterUsage(server: ServerProcess): Promise<() => Promise<Usage>> {
  const client = process.cpuUsage();
  const serverBefore = await cpuSeconds(server);
  return async () => {
    const { user, system } = process.cpuUsage(client);
    return {
      clientCpuSeconds: (user + system) / 1e6,
      serverCpuSeconds: (await cpuSeconds(server)) - serverBefore,
      serverRssMb: await residentMb(server.pid),
    };
  };
}

/** Processor time that a server has used, with all its processes, in seconds. */
export async function cpuSeconds({ pid, furtherPids }: ServerProcess): Promise<number> {
  const seconds = await Promise.all([pid, ...furtherPids].map(treeCpuSeconds));
  return seconds.reduce((sum, each) => sum + each, 0);
}

/** Resident memory of a process, in MiB. */
export async function residentMb(pid: number): Promise<number> {
  const status = await readProc(pid, "status");
  return Number(status?.match(/^VmRSS:\s+(\d+) kB$/m)?.[1] ?? Number.NaN) / 1024;
}

async function treeCpuSeconds(pid: number): Promise<number> {
  const children = (await readProc(pid, `task/${pid}/children`))?.match(/\d+/g) ?? [];
  const own = await processCpuSeconds(pid);
  const theirs = await Promise.all(children.map((child) => treeCpuSeconds(Number(child)).catch(() => 0)));
  return theirs.reduce((sum, each) => sum + each, own);
}

async function processCpuSeconds(pid: number): Promise<number> {
  const stat = await readProc(pid, "stat");
  // The program's name, in parentheses, may hold spaces; behind it the 12th to 15th field are its times and its ended
  // children's.
  const times = stat
    ?.slice(stat.lastIndexOf(")") + 2)
    .split(" ")
    .slice(11, 15);
  const ticks = times?.reduce((sum, each) => sum + Number(each), 0) ?? Number.NaN;
  return ticks / ticksPerSecond;
}

async function readProc(pid: number, name: string): Promise<string | undefined> {
  if (process.platform !== "linux") return undefined;
  return readFile(`/proc/${pid}/${name}`, "utf8");
}
