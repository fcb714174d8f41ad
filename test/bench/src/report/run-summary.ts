import type { BenchResult, BenchRun } from "../bench-run.js";
import { type Spread, spreadOf } from "../load/statistics.js";
import { type ModeName, modeTable } from "../modes/mode-table.js";
import { type SystemName, systemTable } from "../systems/system-table.js";

/** All repetitions of one kind of work on one system. */
export interface Summary {
  readonly mode: ModeName;
  readonly system: SystemName;
  readonly repetitions: number;
  /** By the names of the mode's figures. */
  readonly figures: Readonly<Record<string, Spread>>;
  /** Seconds of processor time; undefined where no part of a measurement stands for the whole. */
  readonly clientCpuSeconds: Spread | undefined;
  readonly serverCpuSeconds: Spread | undefined;
  readonly serverRssMb: Spread | undefined;
  readonly loadBefore: Spread;
  readonly checkedDeliveries: number;
}

/** A run, summed up and looked up by mode and system. */
export class RunSummary {
  readonly #summaries: readonly Summary[];

  constructor(run: BenchRun) {
    const groups = new Map<string, BenchResult[]>();
    for (const result of run.results) {
      const key = `${result.mode} ${result.system}`;
      groups.set(key, [...(groups.get(key) ?? []), result]);
    }
    this.#summaries = [...groups.values()].map(summarize);
  }

  /** The modes that were measured, in their order. */
  get modes(): readonly ModeName[] {
    const measured = new Set(this.#summaries.map(({ mode }) => mode));
    return (Object.keys(modeTable) as ModeName[]).filter((mode) => measured.has(mode));
  }

  /** The systems that were measured, in a mode or in any, in their order. */
  systems(mode?: ModeName): readonly SystemName[] {
    const summaries = this.#summaries.filter((summary) => mode === undefined || summary.mode === mode);
    const measured = new Set(summaries.map(({ system }) => system));
    return (Object.keys(systemTable) as SystemName[]).filter((system) => measured.has(system));
  }

  /** What was measured; undefined when it was not. */
  find(mode: ModeName, system: SystemName): Summary | undefined {
    return this.#summaries.find((summary) => summary.mode === mode && summary.system === system);
  }

  /** The figure that systems are compared by. */
  main(mode: ModeName, system: SystemName): Spread | undefined {
    const [name = ""] = Object.keys(modeTable[mode].figures);
    return this.find(mode, system)?.figures[name];
  }

  /** Median of a figure; undefined when it was not measured. */
  median(mode: ModeName, system: SystemName, figure: string): number | undefined {
    return this.find(mode, system)?.figures[figure]?.median;
  }

  /** Deliveries whose number and order were checked, in the whole run. */
  get checkedDeliveries(): number {
    return this.#summaries.reduce((sum, { checkedDeliveries }) => sum + checkedDeliveries, 0);
  }
}

function summarize(results: readonly BenchResult[]): Summary {
  const [first] = results;
  if (first === undefined) throw new Error("there is nothing to sum up");
  const names = Object.keys(modeTable[first.mode].figures);
  const figures = names.map((name) => [name, spreadOfMeasured(results.map(({ values }) => values[name]))] as const);
  return {
    mode: first.mode,
    system: first.system,
    repetitions: results.length,
    figures: Object.fromEntries(figures.filter((entry): entry is [string, Spread] => entry[1] !== undefined)),
    clientCpuSeconds: spreadOfMeasured(results.map(({ usage }) => usage?.clientCpuSeconds)),
    serverCpuSeconds: spreadOfMeasured(results.map(({ usage }) => usage?.serverCpuSeconds)),
    serverRssMb: spreadOfMeasured(results.map(({ usage }) => usage?.serverRssMb)),
    loadBefore: spreadOf(results.map(({ loadBefore }) => loadBefore)),
    checkedDeliveries: results.reduce((sum, { checkedDeliveries }) => sum + checkedDeliveries, 0),
  };
}

function spreadOfMeasured(values: readonly (number | undefined)[]): Spread | undefined {
  const measured = values.filter((value) => value !== undefined && Number.isFinite(value)) as number[];
  return measured.length === 0 ? undefined : spreadOf(measured);
}
