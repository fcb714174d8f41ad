import type { DeadLetter, GetSignalMetricsResponse } from "@coordination-signals/client";
import { failureLine, verdictLine } from "../validation/report-text.js";
import type { ValidationReport } from "../validation/validation-report.js";

const shownFailures = 10;

/** The payloads that did not pass: the first of them, and where the others are named. */
export function failuresText(report: ValidationReport): string {
  const shown = report.failures.slice(0, shownFailures).map((failure) => `  ${failureLine(failure)}`);
  const others = report.failures.length - shown.length;
  return [
    `${report.failures.length} payloads did not pass:`,
    ...shown,
    ...(others > 0 ? [`  ... and ${others} more, all in report.md`] : []),
  ].join("\n");
}

/** Dead letters that are shown. */
export const shownDeadLetters = 10;

/** The contracts that generators rejected, as the server keeps them. */
export function deadLettersText(deadLetters: readonly DeadLetter[], count: bigint): string {
  const lines = deadLetters.map(({ subscription, signal, detail }) => {
    const what = signal?.event.case === "dependencyResolved" ? signal.event.value.dependencyId : "a signal";
    return `  ${subscription}: ${what}: ${detail}`;
  });
  return [`${count} dead letters, which nobody could do:`, ...lines].join("\n");
}

/** What the server has measured. */
export function metricsText(metrics: GetSignalMetricsResponse): string {
  const byType = Object.entries(metrics.signalsByType).map(([type, count]) => `${count} ${type}`);
  return [
    `signals sent      ${metrics.totalSignalsSent} (${byType.join(", ")})`,
    `signals received  ${metrics.totalSignalsReceived}, counted per subscription`,
    // Of acknowledged work it counts how long it waits until somebody takes it.
    `propagation       average ${ms(metrics.averagePropagationMs)}, p99 ${ms(metrics.p99PropagationMs)}, ` +
      `longest ${ms(metrics.maxPropagationMs)}`,
  ].join("\n");
}

/** How many of each kind there are. */
export interface FileCounts {
  readonly contracts: number;
  readonly models: number;
  readonly validators: number;
}

/** Where the generated files are. */
export function filesText(outputFolder: string, counts: FileCounts, hasReport: boolean): string {
  const files: readonly (readonly [name: string, what: string])[] = [
    ["contracts/", `${counts.contracts} schemas, one per event type`],
    ["models/", `${counts.models} TypeScript modules`],
    ["validators/", `${counts.validators} modules that need no package`],
    ...(hasReport ? ([["report.md", "what did not pass, and why (report.json for programs)"]] as const) : []),
  ];
  return [outputFolder, ...files.map(([name, what]) => `  ${name.padEnd(12)}${what}`)].join("\n");
}

/** The last line. */
export function closingLine(report: ValidationReport | undefined, failures: readonly string[]): string {
  const verdict = report === undefined ? "there is no verdict" : verdictLine(report);
  return failures.length === 0 ? `The workflow completed: ${verdict}.` : `The workflow failed: ${verdict}.`;
}

function ms(value: number): string {
  return `${value.toFixed(value < 10 ? 2 : 0)} ms`;
}
