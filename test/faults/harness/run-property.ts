import fc from "fast-check";
import { LogViolation } from "../../support/log-violation.js";
import type { FaultRun } from "./fault-program.js";

/** What of a run a property needs. */
type PropertyRun = Pick<FaultRun, "random" | "report" | "plantedBug">;

/**
 * Tries a property on so many random cases, which the program's seed decides. What it throws is a violation, with the smallest
 * case that shows it; a planted bug is found with the first.
 */
export async function runProperty<Case>(
  { random, report, plantedBug }: PropertyRun,
  {
    name,
    runs,
    property,
  }: { readonly name: string; readonly runs: number; readonly property: fc.IAsyncProperty<Case> },
): Promise<void> {
  const seed = random.fork(name).integer(-(2 ** 31), 2 ** 31 - 1);
  const details = await fc.check(property, { seed, numRuns: runs, endOnFailure: plantedBug !== undefined });
  report.cycles += details.numRuns;
  if (!details.failed) return;
  const { errorInstance: error, counterexample, counterexamplePath, numShrinks } = details;
  const kind = error instanceof LogViolation ? error.kind : "otherwise wrong";
  const why = error instanceof Error ? (error.stack ?? error.message) : String(error);
  const where = `${name}, fast-check seed ${details.seed}, path "${counterexamplePath}", ${numShrinks} times shrunk`;
  report.violation(kind, `${where}:\n${fc.stringify(counterexample)}\n${why}`);
}
