import type { TimelineEntry } from "./timeline-entry.js";

/** Lines that a run of signals of one kind gets while it goes on: at each quarter of the event types. */
const linesPerKind = 4;

/** Turns signals into a few lines as they come: starts and completions, and every so often how far a kind has come. */
export class Progress {
  readonly #eventTypes: number;
  readonly #write: (line: string) => void;
  readonly #counts = new Map<string, number>();
  #startMs: number | undefined;

  /** @param eventTypes how many contracts, models and validators there will be. */
  constructor(eventTypes: number, write: (line: string) => void) {
    this.#eventTypes = eventTypes;
    this.#write = write;
  }

  /** Shows a signal, if it is worth a line. */
  show(entry: TimelineEntry): void {
    this.#startMs ??= entry.timeMs;
    if (entry.isMilestone) {
      this.#line(entry, `${entry.kind}: ${entry.detail}`);
      return;
    }
    const key = `${entry.agentId} ${entry.kind}`;
    const count = (this.#counts.get(key) ?? 0) + 1;
    this.#counts.set(key, count);
    if (count === 1) this.#line(entry, `first ${entry.kind}: ${entry.detail}`);
    else if (this.#isQuarter(count)) this.#line(entry, `${count} × ${entry.kind}`);
  }

  /** Shows something that is no signal. */
  note(text: string): void {
    this.#write(`            ${text}`);
  }

  #isQuarter(count: number): boolean {
    const quarterOf = (value: number) => Math.floor((value * linesPerKind) / this.#eventTypes);
    return quarterOf(count) > quarterOf(count - 1);
  }

  #line(entry: TimelineEntry, text: string): void {
    const elapsed = ((entry.timeMs - (this.#startMs ?? entry.timeMs)) / 1000).toFixed(2);
    this.#write(`${elapsed.padStart(8)} s  ${entry.agentId.padEnd(20)} ${text}`);
  }
}
