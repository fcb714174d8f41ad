import { loadavg } from "node:os";
import { setTimeout as sleep } from "node:timers/promises";
import type { BenchOptions } from "./bench-options.js";
import type { BenchFailure, BenchResult, BenchRun, MeasurementId } from "./bench-run.js";
import { describeMachine } from "./machine.js";
import { canMeasure, modeTable } from "./modes/mode-table.js";
import { formatFigures } from "./report/format-figure.js";
import { runWorker } from "./run-worker.js";
import { type SystemName, systemTable } from "./systems/system-table.js";

const loadLookIntervalMs = 5_000;
const maxLoadWaitMs = 600_000;

/** Makes all measurements, the systems in turn, and tells of each on the standard error. */
export async function runBench(options: BenchOptions, signal: AbortSignal): Promise<BenchRun> {
  const start = new Date();
  const { available, skipped } = findSystems(options.systems);
  for (const [name, reason] of Object.entries(skipped)) tell(`${name}: skipped, ${reason}`);
  const plan = planOf(options, available);
  const results: BenchResult[] = [];
  const failures: BenchFailure[] = [];
  for (const [index, id] of plan.entries()) {
    if (signal.aborted) break;
    const place = `[${index + 1}/${plan.length}] ${id.mode} ${id.system}`;
    const loadBefore = await quietLoad(options.maxLoad, place, signal);
    if (signal.aborted) break;
    const outcome = await runWorker({ ...id, quick: options.quick, profileDirectory: options.profile }, signal);
    if ("failure" in outcome) {
      failures.push({ ...id, reason: outcome.failure });
      tell(`${place}: FAILED, ${outcome.failure}`);
    } else {
      results.push({ ...id, ...outcome.measurement, loadBefore });
      tell(
        `${place}: ${formatFigures(modeTable[id.mode], outcome.measurement.values)} (load ${loadBefore.toFixed(1)})`,
      );
    }
  }
  return {
    startTime: start.toISOString(),
    durationSeconds: Math.round((Date.now() - start.getTime()) / 1_000),
    quick: options.quick,
    repeat: options.repeat,
    machine: describeMachine(),
    versions: await versionsOf(available),
    skipped,
    results,
    failures,
  };
}

function findSystems(names: readonly SystemName[]) {
  const available: SystemName[] = [];
  const skipped: Partial<Record<SystemName, string>> = {};
  for (const name of names) {
    const reason = systemTable[name].unavailable();
    if (reason === undefined) available.push(name);
    else skipped[name] = reason;
  }
  return { available, skipped };
}

function planOf({ modes, repeat }: BenchOptions, systems: readonly SystemName[]): readonly MeasurementId[] {
  const repetitions = Array.from({ length: repeat }, (_, index) => index + 1);
  return modes.flatMap((mode) =>
    repetitions.flatMap((repetition) =>
      systems
        .filter((system) => canMeasure(mode, system, systemTable[system]))
        .map((system) => ({ mode, system, repetition })),
    ),
  );
}

async function versionsOf(systems: readonly SystemName[]): Promise<BenchRun["versions"]> {
  const versions = systems.map(async (name) => [name, await systemTable[name].version()] as const);
  return Object.fromEntries(await Promise.all(versions));
}

/** Waits while the machine is busy with something else; answers its load average. */
async function quietLoad(maxLoad: number, place: string, signal: AbortSignal): Promise<number> {
  for (let waitedMs = 0; waitedMs < maxLoadWaitMs; waitedMs += loadLookIntervalMs) {
    const [load = 0] = loadavg();
    if (load <= maxLoad || signal.aborted) return load;
    if (waitedMs === 0) tell(`${place}: waits, the load average is ${load.toFixed(1)}`);
    await sleep(loadLookIntervalMs, undefined, { signal }).catch(() => {});
  }
  return loadavg()[0] ?? 0;
}

function tell(text: string): void {
  process.stderr.write(`${text}\n`);
}
