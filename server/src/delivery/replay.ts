import { setImmediate, setTimeout } from "node:timers/promises";
import type { Clock } from "../model/clock.js";
import { CoordinationError } from "../model/coordination-error.js";
import type { LogEntry } from "../model/log-entry.js";
import type { CompiledFilter } from "../model/signal-filter.js";
import type { CompiledTransform } from "../model/transform/signal-transform.js";
import { coordinationNotFound } from "../registry/agent-registry.js";
import type { LogReader } from "../state/log-reader.js";
import type { SessionState } from "../state/session-state.js";
import type { CoordinationHeader } from "../store/signal-store.js";
import type { SignalView } from "./signal-view.js";
import { checkRetained } from "./subscription-start.js";

/** Which stretch of history to read again, and how fast. */
export interface ReplayRequest {
  readonly coordinationId: string;
  readonly afterSequence: bigint;
  /** The last sequence; 0 is the head when the replay starts. */
  readonly untilSequence: bigint;
  readonly filter: CompiledFilter;
  /** Undefined hands signals out as they are. */
  readonly transform?: CompiledTransform | undefined;
  /** 0 as fast as possible, 1 with the original gaps, n with gaps n times shorter. */
  readonly speed: number;
}

/** Signals that are due together, and the range that was scanned to find them. */
export interface ReplayBatch {
  readonly entries: readonly LogEntry[];
  readonly afterSequence: bigint;
  readonly throughSequence: bigint;
}

/** What a replay works with. */
export interface ReplayOptions {
  readonly session: SessionState;
  readonly reader: LogReader;
  readonly clock: Clock;
  readonly request: ReplayRequest;
  /** What the reader sees of the signals. */
  readonly view: SignalView;
  readonly abort: AbortSignal;
  readonly isDraining: () => boolean;
}

// Gaps are slept in pieces, so that a server that stops need not wait for the end of one.
const maxSleepMs = 250;

/**
 * Reads a stretch of history again, in order and with its gaps in time, and ends after its last signal. Throws
 * COORDINATION_NOT_FOUND, CURSOR_AHEAD, CURSOR_EXPIRED, FILTER_BUDGET_EXCEEDED, SHUTTING_DOWN.
 */
export async function* replaySignals(options: ReplayOptions): AsyncGenerator<ReplayBatch, void, undefined> {
  const { session, reader, request, view } = options;
  const { epoch } = existing(session);
  const until = lastSequence(existing(session), request);
  const pace = new Pace(options);
  let position = request.afterSequence;
  while (position < until && !options.abort.aborted) {
    const header = existing(session);
    if (header.epoch !== epoch) throw coordinationNotFound(session.coordinationId);
    checkRetained([position], header);
    const entries = await reader.forward(header, { fromSequence: position }, "expire");
    const inRange = entries.filter((entry) => entry.sequence <= until);
    for (const group of groupedByDueTime(inRange, request)) {
      if (!(await pace.waitFor(group)) || !(await pace.waitForTurn())) return;
      const seen = view.seeAll(group);
      const throughSequence = seen.cutAtSequence ?? group.at(-1)?.sequence ?? position;
      if (seen.entries.length > 0) yield { entries: seen.entries, afterSequence: position, throughSequence };
      // A long stretch without a match must not keep everybody else from running.
      else await setImmediate();
      position = throughSequence;
      // What did not fit, or is for another turn, is read again.
      if (seen.cutAtSequence !== undefined) break;
    }
    if (inRange.length === 0) return;
  }
}

/** Knows when a signal is due: as long after the first as it was accepted after it, divided by the speed; and there is a turn. */
class Pace {
  readonly #options: ReplayOptions;
  #startedAtMs: number | undefined;
  #firstMs = 0;

  constructor(options: ReplayOptions) {
    this.#options = options;
  }

  /** Waits until a group is due; false when the reader has gone. Throws SHUTTING_DOWN. */
  async waitFor(group: readonly LogEntry[]): Promise<boolean> {
    const { request, clock, abort } = this.#options;
    const [first] = group;
    if (request.speed === 0 || first === undefined) return !abort.aborted;
    if (this.#startedAtMs === undefined) {
      this.#startedAtMs = clock.monotonicMs();
      this.#firstMs = first.timestampMs;
    }
    const dueMs = this.#startedAtMs + (first.timestampMs - this.#firstMs) / request.speed;
    for (;;) {
      this.#checkGoesOn();
      if (abort.aborted) return false;
      const restMs = dueMs - clock.monotonicMs();
      if (restMs <= 0) return true;
      await sleep(Math.min(restMs, maxSleepMs), abort);
    }
  }

  /** Waits until there may be evaluations again; false when the reader has gone. Throws SHUTTING_DOWN. */
  async waitForTurn(): Promise<boolean> {
    const turn = this.#options.view.turns?.nextIfOver(this);
    if (turn === undefined) return true;
    await turn;
    this.#checkGoesOn();
    return !this.aborted;
  }

  /** Whether nothing more need be read. */
  get aborted(): boolean {
    return this.#options.abort.aborted || this.#options.isDraining();
  }

  #checkGoesOn(): void {
    if (!this.#options.isDraining()) return;
    throw new CoordinationError("SHUTTING_DOWN", "the server is shutting down", { retryDelayMs: 100 });
  }
}

function existing({ header, coordinationId }: SessionState): CoordinationHeader {
  if (header === undefined) throw coordinationNotFound(coordinationId);
  return header;
}

function lastSequence(header: CoordinationHeader, { afterSequence, untilSequence }: ReplayRequest): bigint {
  const until = untilSequence === 0n ? header.headSequence : untilSequence;
  for (const [name, sequence] of [
    ["after_sequence", afterSequence],
    ["until_sequence", until],
  ] as const) {
    if (sequence <= header.headSequence) continue;
    throw new CoordinationError("CURSOR_AHEAD", `${name} is ${sequence}, the head is ${header.headSequence}`, {
      metadata: { head_sequence: String(header.headSequence) },
    });
  }
  return until;
}

/** At full speed everything is due at once; else signals that were accepted in the same millisecond go together. */
function groupedByDueTime(entries: readonly LogEntry[], { speed }: ReplayRequest): readonly (readonly LogEntry[])[] {
  if (speed === 0) return entries.length === 0 ? [] : [entries];
  const groups: LogEntry[][] = [];
  for (const entry of entries) {
    const last = groups.at(-1);
    if (last?.[0] !== undefined && last[0].timestampMs === entry.timestampMs) last.push(entry);
    else groups.push([entry]);
  }
  return groups;
}

async function sleep(milliseconds: number, abort: AbortSignal): Promise<void> {
  try {
    await setTimeout(milliseconds, undefined, { signal: abort });
  } catch (error) {
    // Being told to stop is not a failure; the caller sees it on the signal.
    if (!abort.aborted) throw error;
  }
}
