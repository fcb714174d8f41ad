import { fromBinary } from "@bufbuild/protobuf";
import { SignalFilterSchema } from "@coordination-signals/proto/coordination/v1/signal";
import type { CoordinationError } from "../../model/coordination-error.js";
import type { EvaluationTurns } from "../../model/expression/evaluation-turns.js";
import type { FilterExpressionCompiler } from "../../model/filter-expression.js";
import type { LogEntry } from "../../model/log-entry.js";
import { type CompiledFilter, compileSignalFilter } from "../../model/signal-filter.js";
import type { CompiledTransform } from "../../model/transform/signal-transform.js";
import { withinBudget } from "../../model/within-budget.js";
import { concerns, type ReaderInterest } from "../../state/reader-index.js";
import type { SubscriptionRecord } from "../../state/subscription-record.js";
import { SignalView } from "../signal-view.js";

/** Tells which signals are a named subscription's. */
export class SubscriptionMatcher {
  readonly interest: ReaderInterest;
  readonly filter: CompiledFilter;
  readonly #view: SignalView;
  readonly #startTimeMs: number | undefined;

  constructor(record: SubscriptionRecord, filter: CompiledFilter, outgoing: CompiledTransform | undefined) {
    const { agentId, includeOwn, start } = record;
    this.filter = filter;
    this.interest = { agentId, includeOwn, typeMask: filter.typeMask };
    this.#view = new SignalView({ outgoing, filter });
    this.#startTimeMs = start.at === "time" ? start.timeMs : undefined;
  }

  /** Throws FILTER_BUDGET_EXCEEDED. */
  matches(entry: LogEntry): boolean {
    if (!concerns(this.interest, entry)) return false;
    if (this.#startTimeMs !== undefined && entry.timestampMs < this.#startTimeMs) return false;
    return this.filter.matchesAll || this.#view.see(entry) !== undefined;
  }

  /** As `matches`, but answers FILTER_BUDGET_EXCEEDED. */
  ask(entry: LogEntry): boolean | CoordinationError {
    return withinBudget(() => this.matches(entry));
  }

  /** Counts what the evaluations that it takes cost; undefined where it takes none. */
  get turns(): EvaluationTurns | undefined {
    return this.filter.matchesAll ? undefined : this.#view.turns;
  }
}

/** The matchers of named subscriptions, each compiled once. */
export class SubscriptionMatchers {
  readonly #expressions: FilterExpressionCompiler;
  readonly #outgoing: CompiledTransform | undefined;
  readonly #known = new WeakMap<SubscriptionRecord, SubscriptionMatcher>();

  constructor(expressions: FilterExpressionCompiler, outgoing: CompiledTransform | undefined) {
    this.#expressions = expressions;
    this.#outgoing = outgoing;
  }

  /** Has all that is matched in a piece of work take no more steps together than one evaluation may. */
  onOneBudget<T>(work: () => T): T {
    return this.#expressions.onOneBudget(work);
  }

  /** Records never change: the same one has the same matcher. */
  of(record: SubscriptionRecord): SubscriptionMatcher {
    const known = this.#known.get(record);
    if (known !== undefined) return known;
    const filter = fromBinary(SignalFilterSchema, Buffer.from(record.filter, "base64"));
    const matcher = new SubscriptionMatcher(record, compileSignalFilter(filter, this.#expressions), this.#outgoing);
    this.#known.set(record, matcher);
    return matcher;
  }
}
