import { CoordinationError } from "../model/coordination-error.js";
import type { EvaluationTurns } from "../model/expression/evaluation-turns.js";
import { maxResponseBytes } from "../model/limits.js";
import type { LogEntry } from "../model/log-entry.js";
import type { CompiledFilter } from "../model/signal-filter.js";
import type { CompiledTransform } from "../model/transform/signal-transform.js";
import { withinBudget } from "../model/within-budget.js";

/** What decides what a reader sees of the log. */
export interface SignalViewOptions {
  /** What the server makes of every signal that it hands out; undefined leaves them as they are. */
  readonly outgoing: CompiledTransform | undefined;
  readonly filter: CompiledFilter;
  /** What the reader wants made of them then; undefined leaves them as they are. */
  readonly transform?: CompiledTransform | undefined;
}

/** The part of a stretch of the log that goes out in one answer. */
export interface SeenPart {
  readonly entries: readonly LogEntry[];
  /** Where the answer ends early: everything through this sequence was looked at. Undefined when all was. */
  readonly cutAtSequence: bigint | undefined;
}

/**
 * What one reader sees of the log. The filter is asked about signals as the server hands them out: it could tell what the
 * server keeps back otherwise.
 */
export class SignalView {
  /** Counts what the evaluations that it takes cost; undefined where it takes none. */
  readonly turns: EvaluationTurns | undefined;
  readonly #outgoing: CompiledTransform | undefined;
  readonly #filter: CompiledFilter;
  readonly #transform: CompiledTransform | undefined;

  constructor({ outgoing, filter, transform }: SignalViewOptions) {
    this.#outgoing = outgoing;
    this.#filter = filter;
    this.#transform = transform;
    this.turns = filter.turns ?? transform?.turns ?? outgoing?.turns;
  }

  /** An entry as the reader gets it; undefined when it does not match. Throws FILTER_BUDGET_EXCEEDED. */
  see(entry: LogEntry): LogEntry | undefined {
    const handedOut = this.#outgoing === undefined ? entry : this.#outgoing.apply(entry);
    if (!this.#filter.matchesAll && !this.#filter.matches(handedOut.signal)) return undefined;
    return this.#transform === undefined ? handedOut : this.#transform.apply(handedOut);
  }

  /** As `see`, but answers FILTER_BUDGET_EXCEEDED. */
  ask(entry: LogEntry): LogEntry | undefined | CoordinationError {
    return withinBudget(() => this.see(entry));
  }

  /**
   * What of a stretch the reader gets; cut at 1 MiB, because a transform can make signals larger than they are stored, and where
   * this turn's evaluations are over, but not before one signal was looked at. What stands before a signal that is too dear goes
   * out first. Throws FILTER_BUDGET_EXCEEDED when nothing does.
   */
  seeAll(stretch: readonly LogEntry[], isForReader: (entry: LogEntry) => boolean = () => true): SeenPart {
    const { turns } = this;
    const entries: LogEntry[] = [];
    let bytes = 0;
    const cutBefore = (index: number): SeenPart => ({ entries, cutAtSequence: stretch[index - 1]?.sequence });
    for (let index = 0; index < stretch.length; index++) {
      if (turns?.isOver && index > 0) return cutBefore(index);
      const stored = stretch[index];
      const entry = stored !== undefined && isForReader(stored) ? this.ask(stored) : undefined;
      if (entry === undefined) continue;
      if (entry instanceof CoordinationError) {
        if (entries.length > 0) return cutBefore(index);
        throw entry;
      }
      if (bytes + entry.bytes.length > maxResponseBytes && entries.length > 0 && this.#canGrow) return cutBefore(index);
      entries.push(entry);
      bytes += entry.bytes.length;
    }
    return { entries, cutAtSequence: undefined };
  }

  get #canGrow(): boolean {
    return this.#outgoing !== undefined || this.#transform !== undefined;
  }
}
