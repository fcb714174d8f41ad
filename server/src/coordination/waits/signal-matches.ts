import { fromBinary } from "@bufbuild/protobuf";
import { SignalFilterSchema } from "@coordination-signals/proto/coordination/v1/signal";
import type { Departure } from "../../model/departure.js";
import type { EvaluationTurns } from "../../model/expression/evaluation-turns.js";
import type { FilterExpressionCompiler } from "../../model/filter-expression.js";
import type { LogEntry } from "../../model/log-entry.js";
import { type CompiledFilter, compileSignalFilter } from "../../model/signal-filter.js";
import type { CompiledTransform } from "../../model/transform/signal-transform.js";
import type { LogReader } from "../../state/log-reader.js";
import type { SessionState } from "../../state/session-state.js";
import type { WaitRecord } from "../../state/wait-record.js";
import { type AfterLook, LogScan } from "./log-scan.js";

/** What signals are matched with. */
export interface SignalMatchesOptions {
  readonly session: SessionState;
  readonly reader: LogReader;
  readonly wait: WaitRecord;
  readonly expressions: FilterExpressionCompiler;
  /** What the server makes of every signal that it hands out; undefined leaves them as they are. */
  readonly outgoing?: CompiledTransform | undefined;
}

interface OpenFilter {
  readonly conditionIndex: number;
  readonly filter: CompiledFilter;
}

/** Finds the first signal for each of a wait's conditions that ask for one: in the retained history, then as they come. */
export class SignalMatches {
  readonly #filters: readonly OpenFilter[];
  readonly #scan: LogScan;
  readonly #outgoing: CompiledTransform | undefined;
  readonly #turns: EvaluationTurns | undefined;
  /** The signal that is looked at, and the filter that is asked next. */
  #looked = { sequence: 0n, next: 0 };
  #matched: Record<string, string>;

  constructor({ session, reader, wait, expressions, outgoing }: SignalMatchesOptions) {
    this.#outgoing = outgoing;
    this.#filters = filtersOf(wait, expressions);
    this.#matched = { ...wait.matched };
    const onRestart = () => {
      this.#matched = {};
      this.#looked = { sequence: 0n, next: 0 };
    };
    this.#turns = this.#filters.find(({ filter }) => filter.turns !== undefined)?.filter.turns ?? outgoing?.turns;
    this.#scan = new LogScan({ session, reader, fromSequence: 0n, onRestart, turns: this.#turns });
  }

  /** The sequences found, in decimal, by the conditions' places. */
  get matched(): Readonly<Record<string, string>> {
    return this.#matched;
  }

  /** The last sequence that was looked at. */
  get throughSequence(): bigint {
    return this.#scan.throughSequence;
  }

  /** Whether it has to wait for another turn before it can look on. */
  get isTurnOver(): boolean {
    return this.#turns?.isOver === true;
  }

  /** Whether everything that has come was looked at. */
  get isCurrent(): boolean {
    return this.#filters.length === 0 || this.#scan.isAtHead;
  }

  /** Looks at what has come. Throws FILTER_BUDGET_EXCEEDED. */
  async advance(departure: Departure): Promise<void> {
    if (this.#filters.length > 0) await this.#scan.advance((entry) => this.#look(entry), departure);
  }

  /** Asks at least one filter, and the others until this turn's evaluations are over. */
  #look(entry: LogEntry): AfterLook {
    const first = this.#looked.sequence === entry.sequence ? this.#looked.next : 0;
    for (const [index, filter] of this.#filters.entries()) {
      if (index < first) continue;
      if (index > first && this.#turns?.isOver) {
        this.#looked = { sequence: entry.sequence, next: index };
        return "again";
      }
      this.#ask(filter, entry);
    }
    return "next";
  }

  #ask({ conditionIndex, filter }: OpenFilter, entry: LogEntry): void {
    const isOfItsType = (filter.typeMask & (1 << entry.facts.type)) !== 0;
    if (this.#matched[conditionIndex] !== undefined || !isOfItsType) return;
    if (!filter.matchesAll && !filter.matches((this.#outgoing?.apply(entry) ?? entry).signal)) return;
    this.#matched = { ...this.#matched, [conditionIndex]: String(entry.sequence) };
  }
}

function filtersOf({ conditions }: WaitRecord, expressions: FilterExpressionCompiler): readonly OpenFilter[] {
  return conditions.flatMap((condition, conditionIndex) => {
    if (condition.kind !== "signal") return [];
    const filter = fromBinary(SignalFilterSchema, Buffer.from(condition.filter, "base64"));
    return { conditionIndex, filter: compileSignalFilter(filter, expressions) };
  });
}
