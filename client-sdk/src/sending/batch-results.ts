import type { BatchSendSignalsResult } from "@coordination-signals/proto/coordination/v1/signal_service";
import { CoordinationClientError, InternalError } from "../errors/coordination-client-error.js";
import { type SendOutcome, sendOutcomeFrom } from "./send-result.js";

/** What became of the signals of one batch. */
export interface BatchAnswer {
  /** One for each, in their order. */
  readonly outcomes: readonly SendOutcome[];
  /** Whether one of them is an error: most batches need no second look. */
  readonly hasErrors: boolean;
}

/** Reads a batch's answer. */
export function batchAnswerFrom(results: readonly BatchSendSignalsResult[]): BatchAnswer {
  const outcomes = results.map(sendOutcomeFrom);
  return { outcomes, hasErrors: outcomes.some(isError) };
}

/** Throws InternalError unless there is one outcome for each of so many signals. */
export function assertOneEach({ outcomes }: BatchAnswer, signals: number): void {
  if (outcomes.length === signals) return;
  const message = `the answer has ${outcomes.length} results for ${signals} signals`;
  throw new InternalError({ message, reason: "UNEXPECTED_RESPONSE", code: "INTERNAL" });
}

/**
 * Whether a server that shuts down, or has lost its store, has refused one of the signals: the call that carried them
 * succeeds all the same.
 */
export function hasUnavailable({ outcomes, hasErrors }: BatchAnswer): boolean {
  return hasErrors && outcomes.some((outcome) => isError(outcome) && outcome.code === "UNAVAILABLE");
}

/** Why an atomic batch was refused, from outcomes in which every item has an error; `undefined` when it was stored. */
export function atomicRefusal({ outcomes, hasErrors }: BatchAnswer): CoordinationClientError | undefined {
  if (!hasErrors) return undefined;
  const first = errorAt(outcomes, 0);
  const index = first?.metadata["index"];
  return index === undefined ? first : (errorAt(outcomes, Number(index)) ?? first);
}

/** Whether a signal was not stored. */
export function isError(outcome: SendOutcome): outcome is CoordinationClientError {
  return outcome instanceof CoordinationClientError;
}

function errorAt(outcomes: readonly SendOutcome[], index: number): CoordinationClientError | undefined {
  const outcome = outcomes[index];
  return outcome !== undefined && isError(outcome) ? outcome : undefined;
}
