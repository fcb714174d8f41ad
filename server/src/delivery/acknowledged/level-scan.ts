import { setImmediate } from "node:timers/promises";
import { Priority } from "@coordination-signals/proto/coordination/v1/signal";
import { maxBatchSignals, maxLevelScanSignals } from "../../model/limits.js";
import type { LogEntry } from "../../model/log-entry.js";
import { levelOf, priorityLevels } from "../../model/priority-level.js";
import { readLogAfter } from "../../state/read-log.js";
import type { DeliveryRecord } from "../../state/subscription-record.js";
import { readDue } from "./read-due.js";
import type { PendingSignal, PickSource, UnansweredSignal } from "./signal-picker.js";

/*
 * What is pending on each level, read forward only and no further than it is asked for. A level that is scanned takes those
 * along that stand where it stands, until it meets their first pending signal: in the usual case the log is read once for all
 * that is skipped, and once more for what is handed out.
 */

/** What a level has next. */
export type LevelSignal = PendingSignal | ({ readonly is: "unanswered" } & UnansweredSignal);

interface Level {
  readonly due: readonly DeliveryRecord[];
  dueTaken: number;
  /** The last sequence that was handed out or is no pending signal of this level. */
  position: bigint;
  /** A stretch of the log that was read; what is at or before the position is done. */
  stretch: readonly LogEntry[];
  stretchAt: number;
  readSize: number;
  looked: number;
  found: LevelSignal | undefined;
}

// Signals that are read at once at least: some are of other levels, or do not match.
const leastReadSize = 16;

/** The levels of one subscription from where it stands. */
export class LevelScan {
  readonly #source: PickSource;
  readonly #headSequence: bigint;
  readonly #levels: readonly Level[];

  /** @param count how many signals are wanted, as far as that is known */
  constructor(
    source: PickSource,
    positions: readonly bigint[],
    { due, count }: { readonly due: readonly DeliveryRecord[]; readonly count: number },
  ) {
    this.#source = source;
    this.#headSequence = source.session.header?.headSequence ?? 0n;
    this.#levels = priorityLevels.map((_, level) => ({
      due: due.filter((record) => levelOfRecord(record) === level),
      dueTaken: 0,
      position: positions[level] ?? 0n,
      stretch: [],
      stretchAt: 0,
      readSize: Math.min(maxBatchSignals, leastReadSize + count),
      looked: 0,
      found: undefined,
    }));
  }

  /** How far each level was scanned. */
  get positions(): readonly bigint[] {
    return this.#levels.map(({ position }) => position);
  }

  /** Whether a delivery of a level is left that can be leased again. */
  hasDue(level: number): boolean {
    const { due, dueTaken, found } = this.#level(level);
    return found?.is === "due" || dueTaken < due.length;
  }

  /** Whether something of a level may be pending. */
  mayHave(level: number): boolean {
    return this.hasDue(level) || this.#level(level).position < this.#headSequence;
  }

  /** What a level has next; undefined where it has nothing, or where that would take too long to find out now. */
  async find(level: number): Promise<LevelSignal | undefined> {
    const state = this.#level(level);
    state.found ??= (await this.#findDue(state)) ?? (await this.#findNew(level, state));
    return state.found;
  }

  /** Takes what was found. */
  take(level: number): LevelSignal {
    const state = this.#level(level);
    const { found } = state;
    if (found === undefined) throw new Error(`nothing was found on level ${level}`);
    state.found = undefined;
    if (found.is !== "due") this.#pass(level, found.entry);
    return found;
  }

  async #findDue(state: Level): Promise<LevelSignal | undefined> {
    for (let record = state.due[state.dueTaken]; record !== undefined; record = state.due[state.dueTaken]) {
      const entry = await readDue(this.#source, record);
      state.dueTaken += 1;
      if (entry !== undefined) return { is: "due", record, entry };
    }
    return undefined;
  }

  async #findNew(level: number, state: Level): Promise<LevelSignal | undefined> {
    const { matcher, departure } = this.#source;
    for (;;) {
      const turn = matcher.turns?.nextIfOver(departure);
      if (turn !== undefined) await turn;
      if (departure.aborted) return undefined;
      const found = this.#walk(level, state);
      if (found !== undefined) return found;
      if (state.stretchAt < state.stretch.length) continue;
      if (state.position >= this.#headSequence || state.looked >= maxLevelScanSignals) return undefined;
      // A long stretch must not keep everybody else from running.
      if (state.looked > 0) await setImmediate();
      if (!(await this.#readOn(level, state))) return undefined;
    }
  }

  /** Reads the next stretch. Returns whether there was one: where there is none, the log is another one by now. */
  async #readOn(level: number, state: Level): Promise<boolean> {
    const { environment, session } = this.#source;
    const from = state.position;
    const part = await readLogAfter(environment.reader, session, from, { maxEntries: state.readSize });
    state.stretch = part.entries;
    state.stretchAt = 0;
    state.looked += part.entries.length;
    state.readSize = Math.min(maxBatchSignals, state.readSize * 2);
    if (part.entries.length === 0) this.#moveTo(part.throughSequence, this.#standingAt(from));
    return part.entries.length > 0 || this.#level(level).position > from;
  }

  /** Goes on in what was read, to the level's next pending signal, but for one signal only while this turn's evaluations last. */
  #walk(level: number, state: Level): LevelSignal | undefined {
    const { turns } = this.#source.matcher;
    const first = state.stretchAt;
    for (; state.stretchAt < state.stretch.length; state.stretchAt++) {
      if (turns?.isOver && state.stretchAt > first) return undefined;
      const entry = state.stretch[state.stretchAt];
      // Another level's scan may have taken this one along.
      if (entry === undefined || entry.sequence <= state.position) continue;
      const found = levelOf(entry.priority) === level ? this.#ask(entry) : undefined;
      if (found !== undefined) return found;
      this.#pass(level, entry);
    }
    return undefined;
  }

  /** Leaves an entry behind, on the level and on those that stand where it stood, but for the one that the entry is pending on. */
  #pass(level: number, entry: LogEntry): void {
    const passing = this.#standingAt(this.#level(level).position).filter((each) => {
      const isOthers = each !== this.#level(level) && each === this.#level(levelOf(entry.priority));
      return !isOthers || this.#ask(entry) === undefined;
    });
    this.#moveTo(entry.sequence, passing);
  }

  #ask(entry: LogEntry): LevelSignal | undefined {
    const answer = this.#source.matcher.ask(entry);
    if (answer === false) return undefined;
    return answer === true ? { is: "new", entry } : { is: "unanswered", entry, error: answer };
  }

  #standingAt(position: bigint): readonly Level[] {
    return this.#levels.filter((each) => each.position === position);
  }

  #moveTo(position: bigint, levels: readonly Level[]): void {
    for (const each of levels) each.position = position;
  }

  #level(level: number): Level {
    const state = this.#levels[level];
    if (state === undefined) throw new Error(`there is no level ${level}`);
    return state;
  }
}

function levelOfRecord({ level }: DeliveryRecord): number {
  return level ?? levelOf(Priority.NORMAL);
}
