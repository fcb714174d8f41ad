import { maxIdleGaps } from "../../model/limits.js";
import type { TimeSpan } from "./timeline.js";

/** Joins spans that touch or overlap; in order. */
export function joinedSpans(spans: readonly TimeSpan[]): readonly TimeSpan[] {
  const joined: { startMs: number; endMs: number }[] = [];
  for (const { startMs, endMs } of [...spans].sort((a, b) => a.startMs - b.startMs)) {
    const last = joined.at(-1);
    if (last === undefined || startMs > last.endMs) joined.push({ startMs, endMs });
    else last.endMs = Math.max(last.endMs, endMs);
  }
  return joined;
}

/** How long spans are together. */
export function totalMs(spans: readonly TimeSpan[]): number {
  return spans.reduce((sum, { startMs, endMs }) => sum + endMs - startMs, 0);
}

/** Collects the times of one agent in which nothing was heard of it and it did not wait. Times have to be given in order. */
export class IdleGapFinder {
  readonly #waits: readonly TimeSpan[];
  readonly #leastMs: number;
  #passedWaits = 0;
  #heardMs: number;
  #gaps: TimeSpan[] = [];
  #idleMs = 0;

  /** `waits` are joined; the agent is first heard of at `startMs`. */
  constructor(waits: readonly TimeSpan[], startMs: number, leastMs: number) {
    this.#waits = waits;
    this.#heardMs = startMs;
    this.#leastMs = leastMs;
  }

  /** The longest gaps, in order. */
  get gaps(): readonly TimeSpan[] {
    return this.#longest().sort((a, b) => a.startMs - b.startMs);
  }

  /** How long all gaps are together. */
  get idleMs(): number {
    return this.#idleMs;
  }

  /** Takes note that something was heard of the agent. */
  heard(timeMs: number): void {
    for (let wait = this.#nextWait(); wait !== undefined && wait.startMs < timeMs; wait = this.#nextWait()) {
      this.#note(wait.startMs);
      this.#heardMs = Math.max(this.#heardMs, Math.min(wait.endMs, timeMs));
      if (wait.endMs > timeMs) break;
      this.#passedWaits += 1;
    }
    this.#note(timeMs);
    this.#heardMs = Math.max(this.#heardMs, timeMs);
  }

  #nextWait(): TimeSpan | undefined {
    return this.#waits[this.#passedWaits];
  }

  #note(endMs: number): void {
    const span = { startMs: this.#heardMs, endMs };
    if (endMs - span.startMs < this.#leastMs) return;
    this.#idleMs += endMs - span.startMs;
    this.#gaps.push(span);
    if (this.#gaps.length > 2 * maxIdleGaps) this.#gaps = this.#longest();
  }

  #longest(): TimeSpan[] {
    const length = ({ startMs, endMs }: TimeSpan) => endMs - startMs;
    return [...this.#gaps].sort((a, b) => length(b) - length(a)).slice(0, maxIdleGaps);
  }
}
