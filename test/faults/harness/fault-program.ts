import { type FaultArguments, type FaultCommand, helpOf, parseFaultArguments, UsageError } from "./fault-arguments.js";
import { FaultReport } from "./fault-report.js";
import { type Random, randomFrom } from "./random.js";

/*
 * The frame of every fault program. It prints the seed first, so that a run that dies can be repeated, then what was done and
 * found. The exit code is the verdict.
 */

/** What ends a program, as the runner knows it; `skipped.ts` has one more. */
const exitCode = { clean: 0, violated: 1, usage: 2, broken: 3 } as const;

const progressEveryMs = 60_000;

/** What a program is run with. */
export interface FaultRun<Setting extends string = never> {
  readonly random: Random;
  readonly report: FaultReport;
  /** The bug that the program is to find, for a run that proves its checks. */
  readonly plantedBug: string | undefined;
  /** The kind of store to test; undefined for a program that knows but one. */
  readonly store: string | undefined;
  /** The numbers of the run's size. */
  readonly sizes: Readonly<Record<Setting, number>>;
}

/** One fault program. */
export interface FaultProgram<Setting extends string> extends FaultCommand<Setting> {
  readonly run: (run: FaultRun<Setting>) => Promise<void>;
}

/** Runs a program as its command line says, and ends the process with its verdict. */
export async function runFaultProgram<Setting extends string>(program: FaultProgram<Setting>): Promise<never> {
  const { seed, isDeep, plantedBug, store, sizes } = argumentsOf(program);
  const { name } = program;
  const report = new FaultReport();
  const startMs = performance.now();
  const details = [isDeep ? "deep" : "", store ?? "", plantedBug === undefined ? "" : `with ${plantedBug}`];
  console.log([`${name}: seed ${seed}`, ...details.filter((detail) => detail !== "")].join(", "));
  const showing = setInterval(() => console.log(`  ${report.progress()}`), progressEveryMs);
  const failure = await program.run({ random: randomFrom(seed), report, plantedBug, store, sizes }).then(
    () => undefined,
    (error: unknown) => (error instanceof Error ? (error.stack ?? error.message) : String(error)),
  );
  clearInterval(showing);
  for (const line of report.lines()) console.log(line);
  if (failure !== undefined) console.log(`  it ended early: ${failure}`);
  const isClean = report.total === 0 && failure === undefined;
  const seconds = ((performance.now() - startMs) / 1000).toFixed(1);
  console.log(`${name}: ${isClean ? "ok" : `FAILED, repeat with --seed ${seed}`} (${seconds} s)`);
  // Not waiting for what a failed run left open: its verdict stands.
  const failedCode = report.total > 0 ? exitCode.violated : exitCode.broken;
  process.exit(isClean ? exitCode.clean : failedCode);
}

function argumentsOf<Setting extends string>(program: FaultProgram<Setting>): FaultArguments<Setting> {
  try {
    const parsed = parseFaultArguments(program, process.argv.slice(2));
    if (parsed !== "help") return parsed;
    console.log(helpOf(program));
    process.exit(exitCode.clean);
  } catch (error) {
    if (!(error instanceof UsageError)) throw error;
    console.error(`${program.name}: ${error.message}`);
    process.exit(exitCode.usage);
  }
}
