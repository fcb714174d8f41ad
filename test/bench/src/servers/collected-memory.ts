import { fileURLToPath } from "node:url";
import { residentMb } from "../load/resource-usage.js";
import type { ServerProcess } from "./server-process.js";

/** Memory of a Node server after its garbage was collected, in bytes. */
export interface CollectedMemory {
  readonly rssBytes: number;
  /** Heap and buffers that are in use. */
  readonly usedBytes: number;
}

/** Arguments for a Node server whose memory is to be measured. */
export const collectingArguments: readonly string[] = [
  "--expose-gc",
  "--import",
  fileURLToPath(new URL("collect-on-signal.js", import.meta.url)),
];

const report = /^collected (\{.*\})$/gm;
const rounds = 4;
const roundTimeoutMs = 10_000;
const lookIntervalMs = 50;
/** Freed memory goes back to the system a little later. */
const settleMs = 500;

/** Has a server collect its garbage several times and measures what is left. */
export async function collectedMemory(server: ServerProcess): Promise<CollectedMemory> {
  let used = { heapUsed: 0, external: 0 };
  for (let round = 0; round < rounds; round += 1) {
    used = await collect(server);
    await sleep(settleMs);
  }
  return { rssBytes: (await residentMb(server.pid)) * 1024 ** 2, usedBytes: used.heapUsed + used.external };
}

async function collect(server: ServerProcess): Promise<{ readonly heapUsed: number; readonly external: number }> {
  const before = reportsOf(server).length;
  process.kill(server.pid, "SIGUSR2");
  for (let waitedMs = 0; waitedMs < roundTimeoutMs; waitedMs += lookIntervalMs) {
    const reports = reportsOf(server);
    const last = reports.at(-1);
    if (reports.length > before && last !== undefined) return JSON.parse(last);
    await sleep(lookIntervalMs);
  }
  throw new Error(`the server did not collect its garbage in ${roundTimeoutMs} ms`);
}

function reportsOf(server: ServerProcess): readonly string[] {
  return [...server.output().matchAll(report)].map(([, json = ""]) => json);
}

function sleep(milliseconds: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, milliseconds));
}
