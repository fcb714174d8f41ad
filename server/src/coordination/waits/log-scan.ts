import { setImmediate } from "node:timers/promises";
import { CoordinationError } from "../../model/coordination-error.js";
import type { Departure } from "../../model/departure.js";
import type { EvaluationTurns } from "../../model/expression/evaluation-turns.js";
import type { LogEntry } from "../../model/log-entry.js";
import type { LogReader } from "../../state/log-reader.js";
import { type LogPart, readLogAfter } from "../../state/read-log.js";
import type { SessionState } from "../../state/session-state.js";

/** What comes after a look at an entry: a look at the next one, another at the same one in another turn, or none. */
export type AfterLook = "next" | "again" | "enough";

/** Looks at one entry. */
export type EntryLook = (entry: LogEntry) => AfterLook;

/**
 * One reader's way through a log, from the oldest signal on, or from a later one, and on as the log grows. A rollback or another
 * log under the same name makes it begin again.
 */
export class LogScan {
  readonly #session: SessionState;
  readonly #reader: LogReader;
  readonly #fromSequence: bigint;
  /** Called before the log is read again from the start. */
  readonly #onRestart: () => void;
  readonly #turns: EvaluationTurns | undefined;
  #stretch: string | undefined;
  #position = 0n;

  constructor(options: {
    readonly session: SessionState;
    readonly reader: LogReader;
    /** What this and earlier sequences hold is not looked at. */
    readonly fromSequence: bigint;
    readonly onRestart: () => void;
    /** Counts what the evaluations of the looks take, where they take any. */
    readonly turns?: EvaluationTurns | undefined;
  }) {
    this.#session = options.session;
    this.#reader = options.reader;
    this.#fromSequence = options.fromSequence;
    this.#onRestart = options.onRestart;
    this.#turns = options.turns;
  }

  /** The last sequence looked at in the log as it is now. */
  get throughSequence(): bigint {
    return this.#isSameStretch() ? this.#position : 0n;
  }

  /** Whether nothing is there that it has not looked at. */
  get isAtHead(): boolean {
    return this.#isSameStretch() && this.#position >= (this.#session.header?.headSequence ?? 0n);
  }

  /** Looks at what has not been looked at yet, until it has seen enough or is at the head. */
  async advance(look: EntryLook, departure: Departure): Promise<void> {
    while (!departure.aborted) {
      const turn = this.#turns?.nextIfOver(departure);
      if (turn !== undefined) {
        await turn;
        continue;
      }
      this.#restartIfChanged();
      const { header } = this.#session;
      if (header === undefined || this.#position >= header.headSequence) return;
      this.#position = laterOf(this.#position, header.oldestSequence - 1n);
      const part = await this.#readPart();
      if (part === undefined || !this.#isSameStretch()) continue;
      if (this.#lookThrough(part, look)) return;
      // A long stretch without a match must not keep everybody else from running.
      if (this.#position < (this.#session.header?.headSequence ?? 0n)) await setImmediate();
    }
  }

  /** Looks at a stretch until it has seen enough or this turn's evaluations are over. Returns whether it has seen enough. */
  #lookThrough({ entries, throughSequence }: LogPart, look: EntryLook): boolean {
    for (const entry of entries) {
      const after = look(entry);
      if (after === "again") return false;
      this.#position = entry.sequence;
      if (after === "enough") return true;
      if (this.#turns?.isOver) return false;
    }
    this.#position = throughSequence;
    return false;
  }

  /** Undefined when what was to be read has left the history meanwhile: it goes on with the oldest. */
  async #readPart() {
    try {
      return await readLogAfter(this.#reader, this.#session, this.#position);
    } catch (error) {
      if (error instanceof CoordinationError && error.reason === "CURSOR_EXPIRED") return undefined;
      throw error;
    }
  }

  #restartIfChanged(): void {
    if (this.#isSameStretch()) return;
    if (this.#stretch !== undefined) this.#onRestart();
    this.#stretch = stretchOf(this.#session);
    this.#position = this.#fromSequence;
  }

  #isSameStretch(): boolean {
    return this.#stretch === stretchOf(this.#session);
  }
}

function stretchOf({ header }: SessionState): string {
  return header === undefined ? "" : `${header.epoch} ${header.generation}`;
}

function laterOf(a: bigint, b: bigint): bigint {
  if (a > b) return a;
  return b;
}
