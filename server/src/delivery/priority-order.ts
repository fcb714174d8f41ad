import { setImmediate } from "node:timers/promises";
import { CoordinationError } from "../model/coordination-error.js";
import {
  levelShareBytes,
  levelShareSignals,
  maxBatchSignals,
  maxLevelScanSignals,
  maxReadTurns,
  maxResponseBytes,
} from "../model/limits.js";
import type { LogEntry } from "../model/log-entry.js";
import { levelOf, priorityLevels } from "../model/priority-level.js";
import { type LogPart, readLogAfter } from "../state/read-log.js";
import type { ReadingOrder, ReadingSource, ReadPart } from "./reading-order.js";

/*
 * CONTROL, HIGH, NORMAL, LOW, and the log's order inside a level. Each level is scanned by itself, forward only, so that a
 * signal is read at most once for each level however much is pending; a scan that finds nothing of the levels below takes
 * their positions along, which makes it once in the usual case.
 *
 * A level is read when nothing of those above it is left, or by its share: a full batch has something of every level in which
 * something waits.
 */

/** The bounds of one batch. */
export interface PriorityBounds {
  /** In all. */
  readonly signals: number;
  readonly bytes: number;
  /** Held back for each lower level in which something is pending. */
  readonly shareSignals: number;
  /** At least what the largest signal weighs; shares of all levels but one must fit into a batch beside one signal more. */
  readonly shareBytes: number;
  /** Looked at for one level. */
  readonly scanSignals: number;
}

const defaultBounds: PriorityBounds = {
  signals: maxBatchSignals,
  bytes: maxResponseBytes,
  shareSignals: levelShareSignals,
  shareBytes: levelShareBytes,
  scanSignals: maxLevelScanSignals,
};

/** The most urgent first. */
export function priorityOrder(bounds: PriorityBounds = defaultBounds): ReadingOrder {
  return {
    levelCount: levels.length,
    readNext: (source, positions) => new PriorityRead(source, bounds, positions).run(),
  };
}

const levels = [...priorityLevels.keys()];

/** What one level may still add to a batch. */
interface Room {
  signals: number;
  bytes: number;
}

/** One batch in the making. */
class PriorityRead {
  readonly #source: ReadingSource;
  readonly #bounds: PriorityBounds;
  readonly #headSequence: bigint;
  readonly #positions: bigint[];
  readonly #entries: LogEntry[] = [];
  #bytes = 0;
  /** A signal is too dear: what was found before it goes out first. */
  #isStopped = false;

  constructor(source: ReadingSource, bounds: PriorityBounds, positions: readonly bigint[]) {
    this.#source = source;
    this.#bounds = bounds;
    this.#headSequence = source.session.header?.headSequence ?? 0n;
    this.#positions = [...positions];
  }

  async run(): Promise<ReadPart> {
    for (const level of levels) {
      await this.#readLevel(level);
      // Nothing of a lower level before it is known what is pending above it.
      if (this.#entries.length === 0 && this.#isPending(level)) break;
    }
    return { entries: this.#entries, positions: this.#positions };
  }

  /** Adds what follows the level's position, until its room is used up, the head is reached or enough was looked at. */
  async #readLevel(level: number): Promise<void> {
    const { reader, session, view } = this.#source;
    const { signals, shareSignals, scanSignals } = this.#bounds;
    const room = this.#roomOf(level);
    let maxEntries = room.signals;
    let scanned = 0;
    let turns = 0;
    while (this.#isPending(level) && scanned < scanSignals && turns < maxReadTurns && !this.#isStopped) {
      const turn = view.turns?.nextIfOver(this.#source);
      turns += turn === undefined ? 0 : 1;
      // A long stretch must not keep everybody else from running, nor one that is dear to look at.
      if (turn !== undefined || scanned > 0) await (turn ?? setImmediate());
      if (this.#source.aborted) return;
      const from = this.#positionOf(level);
      const foundBefore = this.#entries.length;
      const part = await readLogAfter(reader, session, from, { maxEntries });
      const isFull = this.#take(level, part, room);
      // Where nothing moved, the log is another one by now.
      if (isFull || this.#positionOf(level) === from) return;
      scanned += part.entries.length;
      // Reads grow where there is little to find, and are no longer than what fits where there is much.
      const isSparse = this.#entries.length === foundBefore;
      maxEntries = isSparse ? Math.min(maxEntries * 2, signals) : Math.max(room.signals, shareSignals);
    }
  }

  /** What the batch has left, less the shares of the levels below; no more than a share where something above it waits. */
  #roomOf(level: number): Room {
    const below = levels.filter((each) => each > level && this.#isPending(each)).length;
    const { shareSignals, shareBytes, ...bounds } = this.#bounds;
    const signals = bounds.signals - this.#entries.length - below * shareSignals;
    const bytes = bounds.bytes - this.#bytes - below * shareBytes;
    const isAnyAbove = levels.some((each) => each < level && this.#isPending(each));
    if (!isAnyAbove) return { signals, bytes };
    return { signals: Math.min(signals, shareSignals), bytes: Math.min(bytes, shareBytes) };
  }

  /**
   * Takes a level's signals out of a stretch that follows its position, until this turn's evaluations are over. Returns whether
   * there was more than fits.
   */
  #take(level: number, part: LogPart, room: Room): boolean {
    const from = this.#positionOf(level);
    const following = new Set(levels.filter((each) => each > level && this.#positionOf(each) === from));
    const { turns } = this.#source.view;
    let through = from;
    for (const entry of part.entries) {
      if (turns?.isOver && through > from) {
        this.#moveTo(through, [level, ...following]);
        return false;
      }
      const levelOfEntry = levelOf(entry.priority);
      if (levelOfEntry === level) {
        const seen = this.#ask(entry);
        if (seen !== undefined && !this.#add(seen, room)) {
          this.#moveTo(through, [level, ...following]);
          return true;
        }
      } else if (following.has(levelOfEntry) && this.#ask(entry) !== undefined) {
        following.delete(levelOfEntry);
        this.#moveTo(through, [levelOfEntry]);
      }
      through = entry.sequence;
    }
    this.#moveTo(part.throughSequence, [level, ...following]);
    return false;
  }

  #ask(entry: LogEntry): LogEntry | undefined | CoordinationError {
    return this.#source.isForReader(entry) ? this.#source.view.ask(entry) : undefined;
  }

  /** Adds a signal if it fits. Throws FILTER_BUDGET_EXCEEDED where it is too dear and nothing goes out before it. */
  #add(entry: LogEntry | CoordinationError, room: Room): boolean {
    if (entry instanceof CoordinationError) {
      if (this.#entries.length === 0) throw entry;
      this.#isStopped = true;
      return false;
    }
    if (room.signals === 0 || entry.bytes.length > room.bytes) return false;
    this.#entries.push(entry);
    this.#bytes += entry.bytes.length;
    room.signals -= 1;
    room.bytes -= entry.bytes.length;
    return true;
  }

  #isPending(level: number): boolean {
    return this.#positionOf(level) < this.#headSequence;
  }

  #positionOf(level: number): bigint {
    return this.#positions[level] ?? 0n;
  }

  #moveTo(sequence: bigint, of: readonly number[]): void {
    for (const level of of) this.#positions[level] = sequence;
  }
}
