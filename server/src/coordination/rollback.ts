import { CoordinationError } from "../model/coordination-error.js";
import { coordinationNotFound } from "../registry/agent-registry.js";
import { type AgentProgress, type AgentRecord, isKnownAgent } from "../state/agent-record.js";
import type { Draft } from "../state/draft.js";
import type { LogReader } from "../state/log-reader.js";
import type { Operation } from "../state/operation.js";
import { countAfter, removedRangeAt } from "../state/removed-ranges.js";
import type { SessionDirectory } from "../state/session-directory.js";
import type { CoordinationHeader, JournalRecord, SignalStore } from "../store/signal-store.js";
import { DerivedState, noProgress } from "./derived-state.js";
import { existingSession } from "./existing-session.js";
import type { HistoryTrimmer } from "./history-trimmer.js";

/** What to roll back to, and why. */
export interface RollbackRequest {
  readonly toSequence: bigint;
  readonly reason: string;
  /** Who asks; empty where nobody says. */
  readonly requestedBy: string;
}

/** What a rollback did. */
export interface RollbackResult {
  readonly header: CoordinationHeader;
  /** Numbers that left the log; 0 when there were none after the sequence. */
  readonly removedSignals: bigint;
}

// Rollbacks that cursors from before them can still meet; the header lists them all.
const maxRemovedRanges = 100;
const journalPage = 1_000;
// On a shared store the history is trimmed in large steps, so that it hardly ever is between a look and the rollback after it.
const maxAttempts = 5;

/** What a rollback is made with. */
export interface RollbackParts {
  readonly store: SignalStore;
  readonly reader: LogReader;
  readonly directory: SessionDirectory;
  readonly trimmer: HistoryTrimmer;
}

/**
 * Takes the signals after a sequence out of a coordination's log and undoes what they had decided. Throws
 * COORDINATION_NOT_FOUND, CURSOR_AHEAD, CURSOR_EXPIRED, ROLLED_BACK, TOO_MANY_ROLLBACKS, and STORE_UNAVAILABLE when other
 * servers on the same store were faster again and again.
 */
export function rollBackCoordination(
  parts: RollbackParts,
  coordinationId: string,
  request: RollbackRequest,
): Promise<RollbackResult> {
  const { directory, trimmer } = parts;
  return directory.with(coordinationId, (session) =>
    trimmer.holding(session, () => rollBackUntrimmed(parts, coordinationId, request)),
  );
}

async function rollBackUntrimmed(
  parts: RollbackParts,
  coordinationId: string,
  request: RollbackRequest,
): Promise<RollbackResult> {
  const { directory } = parts;
  for (let attempt = 0; attempt < maxAttempts; attempt++) {
    const seen = await directory.withCurrent(coordinationId, (session) => existingSession(session).header);
    checkRollback(seen, request.toSequence);
    const state = await derivedStateAt(parts, seen, request.toSequence);
    const result = await directory.execute(coordinationId, rollbackOperation(seen, state, request));
    if (result !== undefined) return result;
  }
  throw new CoordinationError(
    "STORE_UNAVAILABLE",
    "the history was changed by others while it was rolled back: try again",
    { retryDelayMs: 100 },
  );
}

/**
 * Computes what signals had decided at a sequence: folds the base, where the history begins, and the signals up to there.
 * The log up to a sequence never changes, so this needs no lock; the rollback checks that the base is still the same.
 */
async function derivedStateAt(
  { store, reader }: Pick<RollbackParts, "store" | "reader">,
  header: CoordinationHeader,
  sequence: bigint,
): Promise<DerivedState> {
  const state = DerivedState.fromBase([
    ...(await readAllRecords(store, header, "baseAgent")),
    ...(await readAllRecords(store, header, "baseDependency")),
  ]);
  let fromSequence = header.trimmedThroughSequence;
  while (fromSequence < sequence) {
    const entries = await reader.forward(header, { fromSequence });
    const last = entries.at(-1);
    if (last === undefined) break;
    for (const entry of entries) if (entry.sequence <= sequence) state.add(entry);
    fromSequence = last.sequence;
  }
  return state;
}

/**
 * Takes the signals after a sequence out of the log and undoes what they had decided; registrations, heartbeats, the audit
 * and what was counted stay. Answers undefined when the history was trimmed meanwhile: compute the state again. Throws
 * COORDINATION_NOT_FOUND, CURSOR_AHEAD, CURSOR_EXPIRED, ROLLED_BACK, TOO_MANY_ROLLBACKS.
 */
function rollbackOperation(
  seen: CoordinationHeader,
  state: DerivedState,
  request: RollbackRequest,
): Operation<RollbackResult | undefined> {
  return {
    requestKeys: [],
    signalCount: 0,
    runsAlone: true,
    run: (draft) => {
      const { header } = draft;
      if (header === undefined) throw coordinationNotFound(draft.coordinationId);
      checkRollback(header, request.toSequence);
      if (
        header.epoch !== seen.epoch ||
        header.generation !== seen.generation ||
        header.trimmedThroughSequence !== seen.trimmedThroughSequence
      ) {
        return undefined;
      }
      return rollBack(draft, header, state, request);
    },
  };
}

/** Throws what refuses a rollback. */
function checkRollback(header: CoordinationHeader, toSequence: bigint): void {
  const { headSequence, oldestSequence } = header;
  if (toSequence > headSequence) {
    throw new CoordinationError("CURSOR_AHEAD", `to_sequence is ${toSequence}, the head is ${headSequence}`, {
      metadata: { head_sequence: String(headSequence) },
    });
  }
  if (toSequence < oldestSequence - 1n) {
    throw new CoordinationError(
      "CURSOR_EXPIRED",
      `to_sequence is ${toSequence}, the oldest possible is ${oldestSequence - 1n}: what was before has left the history`,
      { metadata: { oldest_sequence: String(oldestSequence), oldest_to_sequence: String(oldestSequence - 1n) } },
    );
  }
  const removed = removedRangeAt(header.removedRanges, { sequence: toSequence, generation: undefined });
  if (removed !== undefined && toSequence < headSequence) {
    throw new CoordinationError(
      "ROLLED_BACK",
      `to_sequence ${toSequence} was rolled back before, to ${removed.afterSequence}`,
      { metadata: { resume_after_sequence: String(removed.afterSequence) } },
    );
  }
  // What was removed after the sequence becomes part of what is removed now.
  const kept = header.removedRanges.filter(({ afterSequence }) => afterSequence < toSequence);
  if (kept.length >= maxRemovedRanges && toSequence < headSequence) {
    throw new CoordinationError(
      "TOO_MANY_ROLLBACKS",
      `the history remembers ${maxRemovedRanges} rollbacks, which is the limit`,
      {
        metadata: { limit: String(maxRemovedRanges) },
      },
    );
  }
}

function rollBack(
  draft: Draft,
  header: CoordinationHeader,
  state: DerivedState,
  { toSequence, reason, requestedBy }: RollbackRequest,
): RollbackResult {
  const removedSignals = countAfter(header, toSequence);
  if (removedSignals === 0n) return { header, removedSignals };
  for (const record of [...draft.agents()]) restoreAgent(draft, record, state, toSequence);
  for (const key of draft.dependencyKeys()) if (!state.dependencies.has(key)) draft.removeDependency(key);
  for (const record of state.dependencies.values()) draft.putDependency(record, Number.POSITIVE_INFINITY);
  draft.rollBack(toSequence, {
    kind: "rolledBack",
    actors: requestedBy === "" ? [] : [requestedBy],
    sequences: { from: toSequence + 1n, through: header.headSequence },
    detail: reason,
  });
  return { header: draft.begin(), removedSignals };
}

function restoreAgent(draft: Draft, record: AgentRecord, state: DerivedState, toSequence: bigint): void {
  const wasSender = record.firstSequence !== undefined && BigInt(record.firstSequence) <= toSequence;
  const restored: AgentRecord = {
    ...record,
    ...noProgress,
    ...progressSince(record.renewedAfter, state.progress.get(record.agentId)),
    firstSequence: wasSender ? record.firstSequence : undefined,
  };
  if (isKnownAgent(restored)) draft.putAgent(restored);
  else draft.removeAgent(record.agentId);
}

/** What signals have said of an agent that last registered after a sequence, which is not undone: its milestone was over then. */
function progressSince(
  renewedAfter: string | undefined,
  progress: AgentProgress | undefined,
): AgentProgress | undefined {
  if (renewedAfter === undefined || progress === undefined) return progress;
  // The last of them; a milestone without one was set before sequences were kept, and so before the registration.
  const milestoneSequence = progress.completion?.sequence ?? progress.initializedSequence ?? "0";
  return BigInt(milestoneSequence) > BigInt(renewedAfter) ? progress : { ...progress, milestone: "none" };
}

async function readAllRecords(
  store: SignalStore,
  header: CoordinationHeader,
  kind: "baseAgent" | "baseDependency",
): Promise<readonly JournalRecord[]> {
  const all: JournalRecord[] = [];
  let fromKey: string | undefined;
  for (;;) {
    const { coordinationId, epoch } = header;
    const page = await store.readJournal({ coordinationId, epoch, kind, fromKey, limit: journalPage });
    all.push(...page);
    fromKey = page.at(-1)?.key;
    if (page.length < journalPage) return all;
  }
}
