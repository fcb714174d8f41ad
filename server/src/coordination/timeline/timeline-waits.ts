import { decodeEndedWait, type EndedWaitRecord } from "../../state/ended-wait.js";
import type { WaitRecord } from "../../state/wait-record.js";
import type { JournalRecord } from "../../store/signal-store.js";
import { conditionStates, type WaitFacts } from "../waits/condition-state.js";
import type { TimelineWait } from "./timeline.js";

/** The waits of a coordination, ended and open, the oldest first. One that is both has ended. */
export function timelineWaits(
  { stored, waiting }: { readonly stored: readonly JournalRecord[]; readonly waiting: readonly EndedWaitRecord[] },
  open: { readonly waits: readonly WaitRecord[]; readonly facts: WaitFacts },
): readonly TimelineWait[] {
  const waits = new Map<string, TimelineWait>();
  for (const wait of open.waits) waits.set(wait.waitId, fromOpen(wait, open.facts));
  // A commit of which nobody knows whether it was written is written again: the same wait can be there twice.
  for (const { value } of stored) {
    const record = decodeEndedWait(value);
    waits.set(record.waitId, fromEnded(record));
  }
  for (const record of waiting) waits.set(record.waitId, fromEnded(record));
  return [...waits.values()].sort((a, b) => a.startTimeMs - b.startTimeMs || (a.waitId < b.waitId ? -1 : 1));
}

function fromEnded({ sequences, endSequence, ...record }: EndedWaitRecord): TimelineWait {
  const met = Object.entries(sequences).map(([index, sequence]) => [Number(index), BigInt(sequence)] as const);
  return {
    ...record,
    sequences: new Map(met),
    endSequence: endSequence === undefined ? undefined : BigInt(endSequence),
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
