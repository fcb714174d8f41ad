import { decodeEndedWait, type EndedWaitRecord } from "../../state/ended-wait.js";
import { removedRangeAt } from "../../state/removed-ranges.js";
import type { WaitRecord } from "../../state/wait-record.js";
import type { JournalRecord, RemovedRange } from "../../store/signal-store.js";
import { conditionStates, type WaitFacts } from "../waits/condition-state.js";
import type { TimelineWait } from "./timeline.js";

/** What is kept of waits that have ended, and the parts of the log that were rolled back. */
export interface KeptWaits {
  readonly stored: readonly JournalRecord[];
  readonly waiting: readonly EndedWaitRecord[];
  readonly removedRanges: readonly RemovedRange[];
}

/**
 * The waits of a coordination, ended and open, the oldest first. One that is both has ended. One that ended stands when the signals
 * that ended it are rolled back, but does not name them.
 */
export function timelineWaits(
  { stored, waiting, removedRanges }: KeptWaits,
  open: { readonly waits: readonly WaitRecord[]; readonly facts: WaitFacts },
): readonly TimelineWait[] {
  const waits = new Map<string, TimelineWait>();
  for (const wait of open.waits) waits.set(wait.waitId, fromOpen(wait, open.facts));
  // A commit of which nobody knows whether it was written is written again: the same wait can be there twice.
  for (const { value } of stored) {
    const record = decodeEndedWait(value);
    waits.set(record.waitId, fromEnded(record, removedRanges));
  }
  for (const record of waiting) waits.set(record.waitId, fromEnded(record, removedRanges));
  return [...waits.values()].sort((a, b) => a.startTimeMs - b.startTimeMs || (a.waitId < b.waitId ? -1 : 1));
}

function fromEnded(
  { sequences, endSequence, ...record }: EndedWaitRecord,
  removedRanges: readonly RemovedRange[],
): TimelineWait {
  const isInLog = (sequence: bigint) => !removedRangeAt(removedRanges, { sequence, generation: undefined });
  const met = Object.entries(sequences).map(([index, sequence]) => [Number(index), BigInt(sequence)] as const);
  const end = endSequence === undefined ? undefined : BigInt(endSequence);
  return {
    ...record,
    sequences: new Map(met.filter(([, sequence]) => isInLog(sequence))),
    endSequence: end !== undefined && isInLog(end) ? end : undefined,
  };
}

function fromOpen(record: WaitRecord, facts: WaitFacts): TimelineWait {
  const { waitId, agentId, conditions, needed, independent, startTimeMs } = record;
  const states = conditionStates(record, facts);
  const met = states.flatMap((state, index) => (state.is === "satisfied" ? [[index, state.sequence] as const] : []));
  return {
    waitId,
    agentId,
    conditions,
    conditionCount: conditions.length,
    needed,
    independent,
    startTimeMs,
    endTimeMs: undefined,
    outcome: undefined,
    sequences: new Map(met),
    endSequence: undefined,
  };
}
