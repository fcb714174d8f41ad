import { Priority } from "@coordination-signals/proto/coordination/v1/signal";
import { CoordinationError } from "../model/coordination-error.js";
import { type Cursor, encodeCursor, leastOf } from "../model/cursor.js";
import { priorityLevels } from "../model/priority-level.js";
import type { LogReader } from "../state/log-reader.js";
import { removedRangeAt } from "../state/removed-ranges.js";
import type { CoordinationHeader } from "../store/signal-store.js";

/** Where a reader wants to start. */
export type SubscriptionStart =
  | { readonly at: "latest" }
  | { readonly at: "earliest" }
  | { readonly at: "sequence"; readonly afterSequence: bigint }
  | { readonly at: "time"; readonly timeMs: number }
  | { readonly at: "cursor"; readonly cursor: Cursor };

/**
 * The sequences after which a reader starts: one, or in order of priority one for each level. Throws CURSOR_AHEAD,
 * CURSOR_EXPIRED or EPOCH_CHANGED where that place is not, or no longer, in the log, INVALID_CURSOR for a cursor of another
 * order.
 */
export async function startPositions(
  start: SubscriptionStart,
  levelCount: number,
  header: CoordinationHeader | undefined,
  reader: LogReader,
): Promise<readonly bigint[]> {
  const everyLevelAt = (sequence: bigint) => new Array<bigint>(levelCount).fill(sequence);
  switch (start.at) {
    case "latest":
      return everyLevelAt(header?.headSequence ?? 0n);
    case "earliest":
      return everyLevelAt(header === undefined ? 0n : header.oldestSequence - 1n);
    case "sequence":
      return everyLevelAt(sequenceInLog(start.afterSequence, header));
    case "cursor": {
      const { epoch, generation, sequence, levelSequences } = start.cursor;
      const sequences = levelSequences ?? [sequence];
      if (sequences.length !== levelCount) throw otherOrder(levelSequences === undefined);
      if (epoch !== "" && epoch !== (header?.epoch ?? "")) throw epochChanged(start.cursor, header);
      return inLog({ sequences, generation }, header);
    }
    case "time":
      return everyLevelAt(header === undefined ? 0n : await sequenceBefore(start.timeMs, header, reader));
  }
}

/** A sequence to start after. Throws CURSOR_AHEAD, CURSOR_EXPIRED or ROLLED_BACK where that is not, or no longer, in the log. */
export function sequenceInLog(sequence: bigint, header: CoordinationHeader | undefined): bigint {
  inLog({ sequences: [sequence], generation: undefined }, header);
  return sequence;
}

/** Throws CURSOR_EXPIRED when what follows a position has left the history. */
export function checkRetained(sequences: readonly bigint[], header: CoordinationHeader): void {
  const beforeOldest = header.oldestSequence - 1n;
  const expired = sequences.filter((sequence) => sequence < beforeOldest);
  if (expired.length === 0) return;
  const ofLevels = priorityLevels.filter((_, level) => (sequences[level] ?? beforeOldest) < beforeOldest);
  const which =
    sequences.length === 1 ? "" : ` of priority ${ofLevels.map((priority) => Priority[priority]).join(", ")}`;
  throw new CoordinationError(
    "CURSOR_EXPIRED",
    `signals${which} after sequence ${leastOf(expired)} have left the history, the oldest is ${header.oldestSequence}`,
    {
      metadata: positions(
        header,
        beforeOldest,
        sequences.map((sequence) => (sequence < beforeOldest ? beforeOldest : sequence)),
      ),
    },
  );
}

/** Throws ROLLED_BACK when what a position stands for was taken out of the log after the position's generation. */
export function checkNotRolledBack({ sequences, generation }: LogPositions, header: CoordinationHeader): void {
  const rests = sequences.map((sequence) => removedRangeAt(header.removedRanges, { sequence, generation }));
  const index = rests.findIndex((removed) => removed !== undefined);
  if (index < 0) return;
  const kept = sequences.map((sequence, level) => rests[level]?.afterSequence ?? sequence);
  // In order of priority a lower level may not have got as far as what is left: nothing of it must be passed over.
  const resumeAfter = leastOf(kept);
  throw new CoordinationError(
    "ROLLED_BACK",
    `sequence ${sequences[index]} was rolled back: resume after ${resumeAfter}`,
    { metadata: positions(header, resumeAfter, kept) },
  );
}

/** Sequences, and how many rollbacks their holder knew of; undefined where nothing is known. */
interface LogPositions {
  readonly sequences: readonly bigint[];
  readonly generation: number | undefined;
}

function inLog(position: LogPositions, header: CoordinationHeader | undefined): readonly bigint[] {
  const head = header?.headSequence ?? 0n;
  const ahead = position.sequences.find((sequence) => sequence > head);
  if (ahead !== undefined) {
    throw new CoordinationError("CURSOR_AHEAD", `sequence ${ahead} is ahead of the head, which is ${head}`, {
      metadata: positions(header, head),
    });
  }
  if (header !== undefined) {
    checkNotRolledBack(position, header);
    checkRetained(position.sequences, header);
  }
  return position.sequences;
}

function otherOrder(isOfSequence: boolean): CoordinationError {
  const [of, reads] = isOfSequence ? ["SEQUENCE", "PRIORITY"] : ["PRIORITY", "SEQUENCE"];
  return new CoordinationError("INVALID_CURSOR", `the cursor is of order ${of}, the subscription's order is ${reads}`);
}

function epochChanged(cursor: Cursor, header: CoordinationHeader | undefined): CoordinationError {
  return new CoordinationError(
    "EPOCH_CHANGED",
    `the cursor is of epoch ${cursor.epoch}, the log is of ${header === undefined ? "none yet" : header.epoch}: start again from the earliest`,
    { metadata: positions(header, header === undefined ? 0n : header.oldestSequence - 1n) },
  );
}

/**
 * The metadata of an error: where to go on. One sequence cannot say it exactly where levels have got to different places; then
 * a cursor does.
 */
function positions(
  header: CoordinationHeader | undefined,
  resumeAfter: bigint,
  levelSequences: readonly bigint[] = [],
): Record<string, string> {
  const epoch = header?.epoch ?? "";
  const generation = header?.generation ?? 0;
  return {
    resume_after_sequence: String(resumeAfter),
    epoch,
    head_sequence: String(header?.headSequence ?? 0n),
    oldest_sequence: String(header?.oldestSequence ?? 1n),
    ...(levelSequences.length > 1 && {
      resume_cursor: encodeCursor({ epoch, generation, sequence: resumeAfter, levelSequences }),
    }),
  };
}

/** The last sequence accepted before a time; timestamps never go back, so a binary search finds it. */
async function sequenceBefore(timeMs: number, header: CoordinationHeader, reader: LogReader): Promise<bigint> {
  let low = header.oldestSequence - 1n;
  let high = header.headSequence;
  while (low < high) {
    const middle = (low + high + 1n) / 2n;
    const [entry] = await reader.forward(header, { fromSequence: middle - 1n, maxEntries: 1 });
    if (entry !== undefined && entry.timestampMs < timeMs) low = middle;
    else high = middle - 1n;
  }
  return low;
}
