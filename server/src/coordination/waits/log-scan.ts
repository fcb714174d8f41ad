import { setImmediate } from "node:timers/promises";
import { CoordinationError } from "../../model/coordination-error.js";
import type { LogEntry } from "../../model/log-entry.js";
import type { LogReader } from "../../state/log-reader.js";
import { readLogAfter } from "../../state/read-log.js";
import type { SessionState } from "../../state/session-state.js";
import type { Departure } from "./wait-environment.js";

/** Looks at one entry; true when it need not see the next one. */
export type EntryLook = (entry: LogEntry) => boolean;

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
  #stretch: string | undefined;
  #position = 0n;

  constructor(options: {
    readonly session: SessionState;
    readonly reader: LogReader;
    /** What this and earlier sequences hold is not looked at. */
    readonly fromSequence: bigint;
    readonly onRestart: () => void;
  }) {
    this.#session = options.session;
    this.#reader = options.reader;
    this.#fromSequence = options.fromSequence;
    this.#onRestart = options.onRestart;
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
      this.#restartIfChanged();
      const { header } = this.#session;
      if (header === undefined || this.#position >= header.headSequence) return;
      this.#position = laterOf(this.#position, header.oldestSequence - 1n);
      const part = await this.#readPart();
      if (part === undefined || !this.#isSameStretch()) continue;
      for (const entry of part.entries) {
        this.#position = entry.sequence;
        if (look(entry)) return;
      }
      this.#position = part.throughSequence;
      // A long stretch without a match must not keep everybody else from running.
      if (this.#position < (this.#session.header?.headSequence ?? 0n)) await setImmediate();
    }
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
