import { CoordinationError } from "../model/coordination-error.js";
import { laterOf } from "../model/cursor.js";
import { maxBatchSignals, maxResponseBytes } from "../model/limits.js";
import type { LogEntry } from "../model/log-entry.js";
import type { CoordinationHeader, RemovedRange, SignalStore } from "../store/signal-store.js";

/** A stretch of a coordination's log to read. */
export interface LogStretch {
  /** Exclusive end to start from. */
  readonly fromSequence: bigint;
  /** Default 1,000. */
  readonly maxEntries?: number;
  /** Default 1 MiB. */
  readonly maxBytes?: number;
}

/** What a read does when the entries it looked for have left the history meanwhile. */
export type WhenTrimmed = "expire" | "skip";

/**
 * Reads a log from its store and checks that nothing is missing: sequences have no gap but where a rollback made one, so a
 * row that vanished is found as surely as one that changed. Entries beyond the header's head are left out: they are durable
 * but not yet visible. Throws STORE_CORRUPT, and CURSOR_EXPIRED where a reader asks for it.
 */
export class LogReader {
  readonly #store: SignalStore;
  readonly #onCorrupt: (error: unknown) => void;

  /** `onCorrupt` is told of what is missing: the process must not go on with it. */
  constructor(store: SignalStore, onCorrupt: (error: unknown) => void) {
    this.#store = store;
    this.#onCorrupt = onCorrupt;
  }

  /** Entries after a sequence, oldest first. */
  async forward(
    header: CoordinationHeader,
    stretch: LogStretch,
    whenTrimmed: WhenTrimmed = "skip",
  ): Promise<readonly LogEntry[]> {
    const entries = await this.#store.readForward(rangeOf(header, stretch));
    const last = entries.at(-1);
    if (last !== undefined && last.sequence <= header.headSequence && isWhole(entries, stretch.fromSequence, 1n)) {
      return entries;
    }
    const visible = entries.filter((entry) => entry.sequence <= header.headSequence);
    const sequences = visible.map(({ sequence }) => sequence);
    const bounds = [stretch.fromSequence, ...sequences];
    if (sequences.length === 0) bounds.push(header.headSequence + 1n);
    if (firstGap(header, bounds) !== undefined) await this.#explainGap(header, bounds, whenTrimmed);
    return visible;
  }

  /** Entries before a sequence, newest first. */
  async backward(header: CoordinationHeader, stretch: LogStretch): Promise<readonly LogEntry[]> {
    const end = stretch.fromSequence > header.headSequence ? header.headSequence + 1n : stretch.fromSequence;
    const entries = await this.#store.readBackward(rangeOf(header, { ...stretch, fromSequence: end }));
    if (entries.length > 0 && isWhole(entries, end, -1n)) return entries;
    const bounds = [...entries.map(({ sequence }) => sequence).reverse(), end];
    if (entries.length === 0) bounds.unshift(header.trimmedThroughSequence);
    if (firstGap(header, bounds) !== undefined) await this.#explainGap(header, bounds, "skip");
    return entries;
  }

  /** The log may have been trimmed, rolled back or removed since the header was looked at: that is no damage. */
  async #explainGap(header: CoordinationHeader, bounds: readonly bigint[], whenTrimmed: WhenTrimmed): Promise<void> {
    const now = (await this.#store.load(header.coordinationId))?.header;
    if (now === undefined || now.epoch !== header.epoch || now.generation !== header.generation) return;
    const start = laterOf(bounds[0] ?? 0n, now.trimmedThroughSequence);
    const missing = firstGap(now, [start, ...bounds.filter((bound) => bound > start)]);
    if (missing !== undefined) {
      const error = missingSignal(header.coordinationId, missing);
      this.#onCorrupt(error);
      throw error;
    }
    if (whenTrimmed === "skip") return;
    throw new CoordinationError("CURSOR_EXPIRED", `signals after sequence ${bounds[0]} have left the history`, {
      metadata: {
        epoch: now.epoch,
        head_sequence: String(now.headSequence),
        oldest_sequence: String(now.oldestSequence),
        resume_after_sequence: String(now.oldestSequence - 1n),
      },
    });
  }
}

/** Whether the entries follow a sequence, and each other, without a gap. That is so for most reads, and found without a list. */
function isWhole(entries: readonly LogEntry[], fromSequence: bigint, step: bigint): boolean {
  let expected = fromSequence;
  for (const { sequence } of entries) {
    expected += step;
    if (sequence !== expected) return false;
  }
  return true;
}

/** The first sequence missing between neighbours of an ascending list, of which the first is taken as present. */
function firstGap(header: CoordinationHeader, bounds: readonly bigint[]): bigint | undefined {
  for (const [index, before] of bounds.entries()) {
    const after = bounds[index - 1];
    if (after === undefined || before === after + 1n || before <= after) continue;
    const missing = firstMissing(header.removedRanges, after + 1n, before);
    if (missing !== undefined) return missing;
  }
  return undefined;
}

function missingSignal(coordinationId: string, missing: bigint): CoordinationError {
  return new CoordinationError(
    "STORE_CORRUPT",
    `signal ${missing} of coordination "${coordinationId}" is missing from the store`,
    { metadata: { coordination_id: coordinationId, sequence: String(missing) } },
  );
}

function rangeOf({ coordinationId, epoch }: CoordinationHeader, stretch: LogStretch) {
  return {
    coordinationId,
    epoch,
    fromSequence: stretch.fromSequence,
    maxEntries: stretch.maxEntries ?? maxBatchSignals,
    maxBytes: stretch.maxBytes ?? maxResponseBytes,
  };
}

/** The first sequence from `start` to before `end` that no rollback removed. */
function firstMissing(ranges: readonly RemovedRange[], start: bigint, end: bigint): bigint | undefined {
  let sequence = start;
  for (const { afterSequence, throughSequence } of ranges) {
    if (sequence >= end) return undefined;
    if (sequence > afterSequence && sequence <= throughSequence) sequence = throughSequence + 1n;
  }
  return sequence < end ? sequence : undefined;
}
