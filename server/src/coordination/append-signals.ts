import { SignalType } from "@coordination-signals/proto/coordination/v1/signal";
import { CoordinationError } from "../model/coordination-error.js";
import type { LogEntry } from "../model/log-entry.js";
import { isRepetition, type PreparedSignal } from "../model/prepared-signal.js";
import { coordinationClosed } from "../registry/agent-registry.js";
import { type AgentValidationOptions, validateAgents } from "../registry/agent-validation.js";
import type { Draft } from "../state/draft.js";
import type { Operation } from "../state/operation.js";
import { foldSignal } from "./fold-signal.js";
import { StoredSignal } from "./stored-signal.js";

/** What became of one signal of several. */
export type AppendOutcome =
  | { readonly stored: StoredSignal; readonly error?: undefined }
  | { readonly stored?: undefined; readonly error: unknown };

/**
 * Appends signals of one coordination in order, each for itself: one that is refused leaves no trace and its neighbours
 * their places.
 */
export function appendSignals(
  signals: readonly PreparedSignal[],
  validation: AgentValidationOptions,
): Operation<readonly AppendOutcome[]> {
  return {
    requestKeys: requestKeysOf(signals),
    signalCount: signals.length,
    run: (draft) => signals.map((signal) => appendOne(draft, signal, validation)),
  };
}

/** Appends signals of one coordination adjacent, all or none. Throws the first refusal with metadata `index`. */
export function appendAtomically(
  signals: readonly PreparedSignal[],
  validation: AgentValidationOptions,
): Operation<readonly StoredSignal[]> {
  return {
    requestKeys: requestKeysOf(signals),
    signalCount: signals.length,
    run: (draft) => {
      checkAllOrNoneKnown(draft, signals);
      return signals.map((signal, index) => {
        try {
          return append(draft, signal, validation);
        } catch (error) {
          throw withIndex(error, index);
        }
      });
    },
  };
}

/**
 * Appends a signal and has it checked, or noted, in the same commit: what `check` throws takes the signal back. It is called too with
 * one that was stored before, which is answered as it is.
 */
export function appendChecked(
  signal: PreparedSignal,
  validation: AgentValidationOptions,
  check: (draft: Draft, stored: StoredSignal) => void,
): Operation<StoredSignal> {
  return {
    requestKeys: requestKeysOf([signal]),
    signalCount: 1,
    run: (draft) => {
      const stored = append(draft, signal, validation);
      check(draft, stored);
      return stored;
    },
  };
}

function requestKeysOf(signals: readonly PreparedSignal[]): string[] {
  const keys: string[] = [];
  for (const { requestKey } of signals) if (requestKey !== undefined) keys.push(requestKey);
  return keys;
}

function appendOne(draft: Draft, signal: PreparedSignal, validation: AgentValidationOptions): AppendOutcome {
  try {
    return { stored: draft.transact(() => append(draft, signal, validation)) };
  } catch (error) {
    return { error };
  }
}

function append(draft: Draft, signal: PreparedSignal, validation: AgentValidationOptions): StoredSignal {
  const known = knownEntry(draft, signal);
  if (known !== undefined) return new StoredSignal(known, true, draft.constants?.epoch ?? "");
  const { facts, expectedSequence: expected } = signal;
  const { closeTimeMs, closeReason = "" } = draft.constants ?? {};
  if (closeTimeMs !== undefined) throw coordinationClosed(facts.coordinationId, closeReason);
  validateAgents(draft, facts, facts.type === SignalType.AGENT_INITIALIZED, validation);
  if (expected !== undefined && expected !== draft.headSequence) throw sequenceConflict(draft, expected);
  const entry = draft.append(signal);
  foldSignal(draft, entry);
  return new StoredSignal(entry, false, draft.constants?.epoch ?? "");
}

/** The entry that the same request made before. Throws REQUEST_ID_REUSED when it asked for something else. */
function knownEntry(draft: Draft, signal: PreparedSignal): LogEntry | undefined {
  const known = signal.requestKey === undefined ? undefined : draft.findRequest(signal.requestKey);
  if (known !== undefined && !isRepetition(signal, known)) {
    throw new CoordinationError(
      "REQUEST_ID_REUSED",
      `request_id "${known.facts.requestId}" was used for another signal, sequence ${known.sequence}`,
      { metadata: { request_id: known.facts.requestId, sequence: String(known.sequence) } },
    );
  }
  return known;
}

function checkAllOrNoneKnown(draft: Draft, signals: readonly PreparedSignal[]): void {
  const isKnown = ({ requestKey }: PreparedSignal): boolean =>
    requestKey !== undefined && draft.findRequest(requestKey) !== undefined;
  const known = signals.filter(isKnown);
  if (known.length === 0 || known.length === signals.length) return;
  throw new CoordinationError(
    "REQUEST_ID_REUSED",
    `${known.length} of the batch's ${signals.length} requests were stored before: an atomic batch is repeated whole or not at all`,
    { metadata: { index: String(signals.findIndex(isKnown)) } },
  );
}

function sequenceConflict(draft: Draft, expected: bigint): CoordinationError {
  return new CoordinationError(
    "SEQUENCE_CONFLICT",
    `expected_sequence is ${expected}, head_sequence is ${draft.headSequence}`,
    { metadata: { expected_sequence: String(expected), head_sequence: String(draft.headSequence) } },
  );
}

function withIndex(error: unknown, index: number): unknown {
  if (!(error instanceof CoordinationError)) return error;
  return new CoordinationError(error.reason, `requests[${index}]: ${error.message}`, {
    metadata: { ...error.metadata, index: String(index) },
    cause: error.cause,
    ...(error.retryDelayMs !== undefined && { retryDelayMs: error.retryDelayMs }),
  });
}
