import { maxFailuresInSummary, maxProblemsInError, maxSummaryLineLength } from "../limits.js";
import type { PayloadFailure, ValidationReport } from "./validation-report.js";

/** One failure in one line: event type, where the payload is, where in it, what is wrong. */
export function failureLine({ eventType, variant, source, errors, errorCount }: PayloadFailure): string {
  const [first] = errors;
  const what = first === undefined ? "did not pass" : `${first.path === "" ? "" : `${first.path} `}${first.message}`;
  const more = errorCount > 1 ? ` (and ${errorCount - 1} more)` : "";
  return cut(`${variant ?? eventType ?? "no contract"}  ${source}  ${what}${more}`);
}

/** The outcome in one sentence. */
export function verdictLine(report: ValidationReport): string {
  const tested = `${report.validators} validators loaded, ${report.models} models type-checked`;
  if (report.qualityScore === undefined) return `there were no payloads to validate; ${tested}`;
  return `${report.passed} of ${report.payloads} payloads passed (${percent(report.qualityScore)}); ${tested}`;
}

/** The outcome with every failure named, as far as one signal holds them. */
export function summaryText(report: ValidationReport): string {
  const named = report.failures.slice(0, maxFailuresInSummary).map(failureLine);
  const unnamed = report.failures.length - named.length;
  return [
    verdictLine(report),
    ...named.map((line) => `failed: ${line}`),
    ...(unnamed > 0 ? [`and ${unnamed} more failures, all named in the report`] : []),
  ].join("\n");
}

/** Why the workflow failed: what was generated cannot be used. Undefined when it can. Payloads that do not pass are a result, not a failure. */
export function errorText({ validatorProblems, modelProblems }: ValidationReport): string | undefined {
  const problems = [
    ...validatorProblems.map(({ eventType, reason }) => `no validator of ${eventType}: ${reason}`),
    ...modelProblems.map(({ file, diagnostics }) => `${file} does not type-check: ${diagnostics.join("; ")}`),
  ];
  if (problems.length === 0) return undefined;
  const named = problems.slice(0, maxProblemsInError).map(cut);
  const unnamed = problems.length - named.length;
  return `${named.join("; ")}${unnamed > 0 ? `; and ${unnamed} more` : ""}`;
}

/** The report for people, in Markdown. */
export function reportMarkdown(report: ValidationReport): string {
  const sections = [`# Validation of the payloads\n\n${verdictLine(report)}.`];
  if (report.eventTypes.length > 0) sections.push(eventTypeTable(report));
  if (report.failures.length > 0) sections.push(`## Payloads that did not pass\n\n${failureList(report.failures)}`);
  if (report.validatorProblems.length > 0) {
    const lines = report.validatorProblems.map(({ eventType, reason }) => `- ${eventType}: ${reason}`);
    sections.push(`## Event types without a validator\n\n${lines.join("\n")}`);
  }
  if (report.modelProblems.length > 0) {
    const lines = report.modelProblems.map(({ file, diagnostics }) => `- \`${file}\`: ${diagnostics.join("; ")}`);
    sections.push(`## Models that do not type-check\n\n${lines.join("\n")}`);
  }
  return `${sections.join("\n\n")}\n`;
}

function eventTypeTable({ eventTypes }: ValidationReport): string {
  const rows = eventTypes.map(({ eventType, payloads, passed }) => `| ${eventType} | ${payloads} | ${passed} |`);
  return ["| event type | payloads | passed |", "|---|---:|---:|", ...rows].join("\n");
}

function failureList(failures: readonly PayloadFailure[]): string {
  return failures
    .map((failure) => {
      const shown = failure.errors.map(({ path, message }) => `  - ${path === "" ? "" : `\`${path}\` `}${message}`);
      const unshown = failure.errorCount - failure.errors.length;
      const more = unshown > 0 ? [`  - and ${unshown} more`] : [];
      const eventType = failure.variant ?? failure.eventType ?? "no contract";
      return [`- **${eventType}** \`${failure.source}\``, ...shown, ...more].join("\n");
    })
    .join("\n");
}

function percent(share: number): string {
  // Rounded down: 100 % is said only when all passed.
  return `${(Math.floor(share * 1000) / 10).toFixed(1)} %`;
}

function cut(line: string): string {
  return line.length <= maxSummaryLineLength ? line : `${line.slice(0, maxSummaryLineLength - 1)}…`;
}
