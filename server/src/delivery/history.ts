import { setImmediate } from "node:timers/promises";
import { CoordinationError } from "../model/coordination-error.js";
import type { EvaluationTurns } from "../model/expression/evaluation-turns.js";
import { maxBatchSignals, maxPageScanSignals, maxReadTurns, maxResponseBytes } from "../model/limits.js";
import type { LogEntry } from "../model/log-entry.js";
import type { CompiledFilter } from "../model/signal-filter.js";
import type { CompiledTransform } from "../model/transform/signal-transform.js";
import type { LogReader, LogStretch } from "../state/log-reader.js";
import type { CoordinationHeader } from "../store/signal-store.js";
import { SignalView } from "./signal-view.js";

/** Which page of a log to read. */
export interface HistoryPageRequest {
  readonly order: "oldestFirst" | "newestFirst";
  /** Exclusive: the page begins behind it, in its order. */
  readonly fromSequence: bigint;
  readonly filter: CompiledFilter;
  readonly maxSignals: number;
}

/** A page, and where the next one begins; undefined after the last. */
export interface HistoryPage {
  readonly entries: readonly LogEntry[];
  readonly nextFromSequence: bigint | undefined;
}

/**
 * Reads a page of what a header says is history: cut at `maxSignals`, at 1 MiB, and after 10,000 signals scanned or 10 turns of
 * evaluations, so that a filter that matches little, or is dear, costs a bounded amount a call. Throws FILTER_BUDGET_EXCEEDED where
 * a signal is too dear and none stands before it on the page.
 *
 * @param outgoing what the server makes of every signal that it hands out; undefined leaves them as they are
 */
export async function readHistoryPage(
  reader: LogReader,
  header: CoordinationHeader,
  request: HistoryPageRequest,
  outgoing: CompiledTransform | undefined,
): Promise<HistoryPage> {
  const page = new PageBuilder(request, outgoing);
  let from = insideHistory(header, request);
  let scanned = 0;
  let turns = 0;
  while (!isExhausted(header, request.order, from)) {
    const turn = page.turns?.nextIfOver();
    if (scanned >= maxPageScanSignals || (turn !== undefined && turns === maxReadTurns)) return page.next(from);
    turns += turn === undefined ? 0 : 1;
    // A long stretch without a match must not keep everybody else from running, nor one that is dear to look at.
    if (turn !== undefined || scanned > 0) await (turn ?? setImmediate());
    const stretch = { fromSequence: from, maxEntries: page.wantedEntries };
    const entries = await readPart(reader, header, request.order, stretch);
    if (entries.length === 0) break;
    for (const entry of entries) {
      if (isBeyond(header, entry)) return page.last();
      if (!page.take(entry)) return page.next(from);
      from = entry.sequence;
      scanned += 1;
      if (page.turns?.isOver) break;
    }
  }
  return page.last();
}

class PageBuilder {
  readonly #maxSignals: number;
  readonly #takesAll: boolean;
  readonly #view: SignalView;
  readonly #entries: LogEntry[] = [];
  #bytes = 0;

  constructor({ maxSignals, filter }: HistoryPageRequest, outgoing: CompiledTransform | undefined) {
    this.#maxSignals = maxSignals;
    this.#takesAll = filter.matchesAll;
    this.#view = new SignalView({ outgoing, filter });
  }

  /** How many entries to read: where all match, those that have room, and the one that tells that there is a next page. */
  get wantedEntries(): number {
    return this.#takesAll ? this.#maxSignals - this.#entries.length + 1 : maxBatchSignals;
  }

  /** Counts what the evaluations that it takes cost; undefined where it takes none. */
  get turns(): EvaluationTurns | undefined {
    return this.#view.turns;
  }

  /**
   * Takes an entry if it matches. Returns false, and leaves it, when the page is full, or ends with what stands before an entry
   * that is too dear. Throws FILTER_BUDGET_EXCEEDED when nothing does.
   */
  take(stored: LogEntry): boolean {
    const entry = this.#view.ask(stored);
    if (entry === undefined) return true;
    if (entry instanceof CoordinationError) {
      if (this.#entries.length > 0) return false;
      throw entry;
    }
    const isFull = this.#entries.length === this.#maxSignals || this.#bytes + entry.bytes.length > maxResponseBytes;
    if (isFull && this.#entries.length > 0) return false;
    this.#entries.push(entry);
    this.#bytes += entry.bytes.length;
    return true;
  }

  next(fromSequence: bigint): HistoryPage {
    return { entries: this.#entries, nextFromSequence: fromSequence };
  }

  last(): HistoryPage {
    return { entries: this.#entries, nextFromSequence: undefined };
  }
}

function readPart(
  reader: LogReader,
  header: CoordinationHeader,
  order: HistoryPageRequest["order"],
  stretch: LogStretch,
): Promise<readonly LogEntry[]> {
  return order === "oldestFirst" ? reader.forward(header, stretch) : reader.backward(header, stretch);
}

/** Where the history begins or ends if the place is outside it: what follows a place may have left since the page before. */
function insideHistory({ oldestSequence, headSequence }: CoordinationHeader, request: HistoryPageRequest): bigint {
  const { order, fromSequence } = request;
  if (order === "oldestFirst") return fromSequence < oldestSequence - 1n ? oldestSequence - 1n : fromSequence;
  return fromSequence > headSequence + 1n ? headSequence + 1n : fromSequence;
}

function isExhausted(header: CoordinationHeader, order: HistoryPageRequest["order"], from: bigint): boolean {
  return order === "oldestFirst" ? from >= header.headSequence : from <= header.oldestSequence;
}

/** Trimmed but not yet removed, or durable but not yet visible. */
function isBeyond(header: CoordinationHeader, entry: LogEntry): boolean {
  return entry.sequence < header.oldestSequence || entry.sequence > header.headSequence;
}
