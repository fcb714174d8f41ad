import { RetiringSignals } from "../delivery/acknowledged/retiring-signals.js";
import type { SubscriptionMatchers } from "../delivery/acknowledged/subscription-matcher.js";
import type { Clock } from "../model/clock.js";
import type { LogEntry } from "../model/log-entry.js";
import type { LogReader } from "../state/log-reader.js";
import type { Operation } from "../state/operation.js";
import { rangesAfter } from "../state/removed-ranges.js";
import type { SessionDirectory } from "../state/session-directory.js";
import type { SessionState } from "../state/session-state.js";
import type { CoordinationHeader, SignalStore } from "../store/signal-store.js";
import { DerivedState } from "./derived-state.js";

/*
 * What leaves the history by count leaves it with the send that exceeds the count: the header says so. Removing it from the
 * store follows here, in steps of a bounded size between the sends, so that no sender waits for it. With each step goes what
 * the removed signals had decided, as the base from which a rollback starts to fold.
 */

/** What the trimmer works with. */
export interface HistoryTrimmerOptions {
  readonly directory: SessionDirectory;
  readonly store: SignalStore;
  readonly reader: LogReader;
  readonly clock: Clock;
  /** How long signals stay in history; undefined keeps them whatever their age. */
  readonly retentionAgeMs: number | undefined;
  /** Told when a step failed; the next one tries again. */
  readonly onFailed: (error: unknown) => void;
  /** Tells which signals are a named subscription's. */
  readonly matchers: SubscriptionMatchers;
  /** Told how many signals became dead letters by leaving. */
  readonly onBuried: (count: number) => void;
}

// A step starts when so much has gathered, and takes a quarter of what waits within these bounds.
const leastStepEntries = 256;
const greatestStepEntries = 4_096;
const maxStepBytes = 16 * 1024 * 1024;
const greatestSweepIntervalMs = 60_000;
const leastSweepIntervalMs = 100;
const sweepPageSize = 100;

/** Removes from the store what has left the history, and lets signals leave it by their age. */
export class HistoryTrimmer {
  readonly #options: HistoryTrimmerOptions;
  /** The steps on their way, each of which ends without failing. */
  readonly #steps = new Map<SessionState, Promise<void>>();
  /** Coordinations that no step is started for, with the end of the last work that is done meanwhile. Never rejects. */
  readonly #holders = new Map<SessionState, Promise<void>>();
  readonly #timer: NodeJS.Timeout | undefined;
  #sweep: Promise<void> | undefined;
  #isClosed = false;

  constructor(options: HistoryTrimmerOptions) {
    this.#options = options;
    if (options.retentionAgeMs === undefined) return;
    const intervalMs = Math.min(greatestSweepIntervalMs, Math.max(leastSweepIntervalMs, options.retentionAgeMs / 4));
    this.#timer = setInterval(() => this.#startSweep(), intervalMs);
    this.#timer.unref();
  }

  /** Starts a step for a coordination if enough has gathered. */
  consider(session: SessionState): void {
    const { header } = session;
    if (header === undefined || this.#isClosed || this.#steps.has(session) || this.#holders.has(session)) return;
    if (header.oldestSequence - 1n - header.trimmedThroughSequence < leastStepEntries) return;
    this.#steps.set(session, this.#stepOn(session));
  }

  /**
   * Does work that reads much of a coordination's store, while nothing is removed there: a busy coordination is trimmed more often
   * than its history can be read. One such work after the other. Other servers on the same store know nothing of it.
   */
  async holding<T>(session: SessionState, work: () => Promise<T>): Promise<T> {
    const before = this.#holders.get(session) ?? this.#steps.get(session) ?? Promise.resolve();
    const result = before.then(work);
    const ended = result.then(ignore, ignore);
    this.#holders.set(session, ended);
    try {
      return await result;
    } finally {
      if (this.#holders.get(session) === ended) {
        this.#holders.delete(session);
        this.consider(session);
      }
    }
  }

  /** Starts nothing new; resolves when nothing is on its way. */
  async close(): Promise<void> {
    this.#isClosed = true;
    clearInterval(this.#timer);
    await Promise.all([this.#sweep, ...this.#steps.values()]);
  }

  async #stepOn(session: SessionState): Promise<void> {
    let current: SessionState | undefined;
    try {
      current = await this.#step(session.coordinationId);
    } catch (error) {
      this.#options.onFailed(error);
    }
    this.#steps.delete(session);
    if (current !== undefined) this.consider(current);
  }

  /**
   * Takes one step. Answers the coordination as it was in memory then, which is not what the step was asked for where that had
   * left memory meanwhile; undefined where there is no such coordination any more.
   */
  async #step(coordinationId: string): Promise<SessionState | undefined> {
    const { directory, reader } = this.#options;
    return directory.with(coordinationId, async (session) => {
      const { header } = session;
      if (header === undefined) return undefined;
      const waiting = Number(header.oldestSequence - 1n - header.trimmedThroughSequence);
      const entries = await reader.forward(header, {
        fromSequence: header.trimmedThroughSequence,
        maxEntries: Math.min(greatestStepEntries, Math.max(leastStepEntries, Math.ceil(waiting / 4))),
        maxBytes: maxStepBytes,
      });
      const leaving = entries.filter((entry) => entry.sequence < header.oldestSequence);
      const through =
        leaving.length < entries.length || leaving.length === 0 ? header.oldestSequence - 1n : leaving.at(-1)?.sequence;
      if (through === undefined) return undefined;
      const { matchers, clock, onBuried } = this.#options;
      const retiring = await RetiringSignals.of(session.named, leaving, { through, matchers });
      const trim = { seen: header, leaving, through, retiring, nowMs: () => clock.nowMs() };
      onBuried(await directory.execute(coordinationId, trimOperation(trim)));
      return session;
    });
  }

  #startSweep(): void {
    if (this.#sweep !== undefined) return;
    this.#sweep = this.#sweepByAge()
      .catch(this.#options.onFailed)
      .finally(() => {
        this.#sweep = undefined;
      });
  }

  /** Looks at every coordination, also those that are not in memory. */
  async #sweepByAge(): Promise<void> {
    let afterId = "";
    while (!this.#isClosed) {
      const headers = await this.#options.store.list(afterId, sweepPageSize);
      for (const header of headers) {
        afterId = header.coordinationId;
        if (header.oldestSequence <= header.headSequence) await this.#expire(header);
      }
      if (headers.length < sweepPageSize) return;
    }
  }

  async #expire(header: CoordinationHeader): Promise<void> {
    const { reader, clock, directory, retentionAgeMs = 0 } = this.#options;
    const fromSequence = header.oldestSequence - 1n;
    const cutoffMs = clock.nowMs() - retentionAgeMs;
    // Most coordinations have nothing too old, and one signal says so.
    const [oldest] = await reader.forward(header, { fromSequence, maxEntries: 1 });
    if (oldest === undefined || oldest.timestampMs >= cutoffMs) return;
    const limits = { maxEntries: greatestStepEntries, maxBytes: maxStepBytes };
    const entries = await reader.forward(header, { fromSequence, ...limits });
    const firstYoung = entries.findIndex((entry) => entry.timestampMs >= cutoffMs);
    const expired = firstYoung === -1 ? entries : entries.slice(0, firstYoung);
    const last = expired.at(-1);
    if (last === undefined) return;
    const oldestSequence = entries[firstYoung]?.sequence ?? last.sequence + 1n;
    await directory.execute(header.coordinationId, expireOperation(header, oldestSequence));
  }
}

/** Whoever does the work is told how it ended. */
function ignore(): void {}

/** Lets signals before a sequence leave the history. */
function expireOperation(seen: CoordinationHeader, oldestSequence: bigint): Operation<void> {
  return {
    requestKeys: [],
    signalCount: 0,
    run: (draft) => {
      const { header } = draft;
      if (header?.epoch !== seen.epoch || header.oldestSequence >= oldestSequence) return;
      draft.changeHeader(
        { oldestSequence },
        {
          kind: "historyTrimmed",
          actors: [],
          sequences: { from: header.oldestSequence, through: oldestSequence - 1n },
          detail: "older than the retention age",
        },
      );
    },
  };
}

interface TrimStep {
  readonly seen: CoordinationHeader;
  readonly leaving: readonly LogEntry[];
  readonly through: bigint;
  readonly retiring: RetiringSignals;
  readonly nowMs: () => number;
}

/**
 * Removes entries that have left the history, and keeps what they had decided and what of them named subscriptions have not
 * settled. Answers how much that is.
 */
function trimOperation({ seen, leaving, through, retiring, nowMs }: TrimStep): Operation<number> {
  const decided = new DerivedState();
  for (const entry of leaving) decided.add(entry);
  return {
    requestKeys: [],
    signalCount: leaving.length,
    run: (draft) => {
      const { header } = draft;
      if (header?.epoch !== seen.epoch || header.trimmedThroughSequence !== seen.trimmedThroughSequence) return 0;
      const buried = retiring.bury(draft, nowMs());
      if (buried === undefined) return 0;
      draft.subscriptions.forgetRequired(through);
      const initializedSequenceOf = (agentId: string): string | undefined => {
        const sequence = draft.agent(agentId)?.initializedSequence;
        return sequence !== undefined && BigInt(sequence) <= through ? sequence : undefined;
      };
      for (const record of decided.toBaseRecords(initializedSequenceOf)) {
        // What has been forgotten meanwhile is not to come back.
        const isKnown =
          record.kind === "baseAgent" ? draft.agent(record.key) !== undefined : draft.hasDependency(record.key);
        if (isKnown) draft.putRecord(record);
      }
      draft.changeHeader(
        { trimmedThroughSequence: through, removedRanges: rangesAfter(header.removedRanges, through) },
        { kind: "historyTrimmed", actors: [], sequences: { from: header.trimmedThroughSequence + 1n, through } },
      );
      return buried;
    },
  };
}
