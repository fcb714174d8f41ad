import type { ModelProblem } from "./check-models.js";
import type { PayloadError } from "./check-payload.js";

/** A payload that did not pass, and why. */
export interface PayloadFailure {
  /** The event type whose contract it was held against; undefined when none was found for it. */
  readonly eventType: string | undefined;
  /** The member of the contract's union that it was meant to be, where that could be told. */
  readonly variant: string | undefined;
  /** Where the payload is. */
  readonly source: string;
  /** The first errors, at least one. */
  readonly errors: readonly PayloadError[];
  readonly errorCount: number;
}

/** What became of the payloads of one event type. */
export interface EventTypeResult {
  readonly eventType: string;
  readonly payloads: number;
  readonly passed: number;
}

/** An event type of which there is no validator that can be used, and why. */
export interface ValidatorProblem {
  readonly eventType: string;
  readonly reason: string;
}

/** The outcome of a run. It holds no time and no id, so that the same input gives the same report. */
export interface ValidationReport {
  readonly payloads: number;
  readonly passed: number;
  /** The share of payloads that passed, 0 to 1; undefined when there was nothing to validate. */
  readonly qualityScore: number | undefined;
  readonly validators: number;
  readonly models: number;
  readonly eventTypes: readonly EventTypeResult[];
  readonly failures: readonly PayloadFailure[];
  readonly validatorProblems: readonly ValidatorProblem[];
  readonly modelProblems: readonly ModelProblem[];
}

/** What a report is made of. */
export interface ReportInput {
  readonly eventTypes: readonly EventTypeResult[];
  readonly failures: readonly PayloadFailure[];
  /** Payloads that were no payload of any contract. They count, and did not pass. */
  readonly rejected: number;
  /** How many validators were loaded. */
  readonly validators: number;
  /** How many models were type-checked. */
  readonly models: number;
  readonly validatorProblems: readonly ValidatorProblem[];
  readonly modelProblems: readonly ModelProblem[];
}

/** Sums up a run: sorted by event type and source, so that the order in which things happened leaves no trace. */
export function validationReport(input: ReportInput): ValidationReport {
  const payloads = sum(input.eventTypes.map((result) => result.payloads)) + input.rejected;
  const passed = sum(input.eventTypes.map((result) => result.passed));
  return {
    payloads,
    passed,
    qualityScore: payloads === 0 ? undefined : passed / payloads,
    validators: input.validators,
    models: input.models,
    eventTypes: input.eventTypes.toSorted((left, right) => compare(left.eventType, right.eventType)),
    failures: input.failures.toSorted(
      (left, right) =>
        compare(left.eventType ?? "", right.eventType ?? "") || compareSources(left.source, right.source),
    ),
    validatorProblems: input.validatorProblems.toSorted((left, right) => compare(left.eventType, right.eventType)),
    modelProblems: input.modelProblems.toSorted((left, right) => compare(left.file, right.file)),
  };
}

function sum(counts: readonly number[]): number {
  return counts.reduce((total, count) => total + count, 0);
}

/** By code unit, not by locale: the order must be the same everywhere. */
function compare(left: string, right: string): number {
  if (left === right) return 0;
  return left < right ? -1 : 1;
}

/** Numbers inside by their value: `examples/10` after `examples/9`. */
function compareSources(left: string, right: string): number {
  return new Intl.Collator("en", { numeric: true }).compare(left, right) || compare(left, right);
}
