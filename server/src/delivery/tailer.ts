import { setImmediate } from "node:timers/promises";
import type { Clock } from "../model/clock.js";
import { CoordinationError } from "../model/coordination-error.js";
import { encodeCursor, leastOf } from "../model/cursor.js";
import type { LogEntry } from "../model/log-entry.js";
import type { CompiledFilter } from "../model/signal-filter.js";
import type { LogReader } from "../state/log-reader.js";
import { concerns, type ReaderInterest } from "../state/reader-index.js";
import type { OpenSubscription, SessionState } from "../state/session-state.js";
import type { CoordinationHeader } from "../store/signal-store.js";
import { ChangeWait } from "./change-wait.js";
import { priorityOrder } from "./priority-order.js";
import type { DeliveryOrder, ReadingOrder } from "./reading-order.js";
import { sequenceOrder } from "./sequence-order.js";
import type { SignalView } from "./signal-view.js";
import { checkNotRolledBack, checkRetained, type SubscriptionStart, startPositions } from "./subscription-start.js";
import { shuttingDown, type TailItem } from "./tail-item.js";

/*
 * A reader pulls the log after its position, delivers what matches, and moves the position past everything it has scanned;
 * when nothing is left it parks until something may concern it. There is no queue: order, no gap, no duplicate and resuming
 * follow from (log, position), and a slow reader costs one batch of memory.
 *
 * Batches and checkpoints name the range they stand for; each begins where the one before ended.
 */

/** What a tailer works with. */
export interface TailOptions {
  readonly session: SessionState;
  readonly reader: LogReader;
  readonly clock: Clock;
  readonly start: SubscriptionStart;
  readonly order: DeliveryOrder;
  readonly interest: ReaderInterest;
  readonly filter: CompiledFilter;
  /** What the reader sees of the signals. */
  readonly view: SignalView;
  readonly checkpointIntervalMs: number;
  /** Aborted when the reader has gone: the tailer ends without a word. */
  readonly abort: AbortSignal;
  /** Whether the server stops: the tailer, woken, then says where it is and ends with SHUTTING_DOWN. */
  readonly isDraining: () => boolean;
  /** Where the position is shown to others. */
  readonly subscription: OpenSubscription;
  /** Resolves when every signal accepted before the call is visible. */
  readonly whenVisible: () => Promise<void>;
  /** Called once, when it is known where the reader starts: after this sequence. */
  readonly onBegun?: (startSequence: bigint) => void;
  /** Called when a batch was taken by the reader's connection. */
  readonly onDelivered: (entries: readonly LogEntry[], liveSinceMs: number | undefined) => void;
}

/** Reads a coordination's log from a start, and on as it grows. */
export class Tailer {
  readonly #options: TailOptions;
  readonly #startTimeMs: number | undefined;
  readonly #order: ReadingOrder;
  readonly #change: ChangeWait;
  #epoch = "";
  #generation = 0;
  /** The last sequence scanned, of each level that is read by itself. */
  #positions: readonly bigint[] = [];
  /** The least of them: everything through it was scanned. */
  #position = 0n;
  /** The last sequence the reader was told of. */
  #reported = 0n;
  #reportedAtMs = 0;
  #hasCaughtUp = false;
  /** Since when nothing was left to read: what is accepted from then on is live. */
  #liveSinceMs: number | undefined;
  /** Nothing that was accepted in the filter's time can become visible any more. */
  #hasSeenAllInTime = false;
  /** The reader asked for the oldest there is, and was told of nothing yet. */
  #startsAtOldest: boolean;

  constructor(options: TailOptions) {
    this.#options = options;
    this.#startTimeMs = options.start.at === "time" ? options.start.timeMs : undefined;
    this.#startsAtOldest = options.start.at === "earliest" || options.start.at === "time";
    // What they need by name: spread, the options would be kept once more for each of them, as slow objects.
    const { session, reader, view, interest, abort } = options;
    this.#change = new ChangeWait({ readers: session.readers, interest, abort });
    const source = { session, reader, view, isForReader: (entry: LogEntry) => this.#isForReader(entry) };
    this.#order = options.order === "priority" ? priorityOrder(source) : sequenceOrder(source);
  }

  /** Yields items until the reader leaves, the coordination ends or the server stops; each waits until the last was taken. */
  async *items(): AsyncGenerator<TailItem, void, undefined> {
    try {
      yield await this.#begin();
      while (!this.#options.abort.aborted) {
        if (this.#options.isDraining()) {
          yield this.#checkpoint();
          throw shuttingDown("subscribe again with the last cursor");
        }
        const header = this.#checkedHeader();
        if (header !== undefined && this.#epoch === "") {
          yield this.#subscribed(header);
        } else if (header !== undefined && this.#position < header.headSequence) {
          yield* this.#scan();
        } else if (header !== undefined && !this.#hasCaughtUp) {
          // Then it looks again: what came while the reader took this woke nobody.
          yield* this.#announceCaughtUp();
        } else if (header?.closeTimeMs !== undefined || this.#hasSeenAllInTime) {
          return yield* this.#reportRest();
        } else if (this.#isTimeOver()) {
          await this.#options.whenVisible();
          this.#hasSeenAllInTime = true;
        } else if (await this.#parkUntilReportIsDue()) {
          yield this.#checkpoint();
        }
      }
    } finally {
      this.#change.close();
    }
  }

  async #begin(): Promise<TailItem> {
    const { session, reader, start } = this.#options;
    const header = session.header;
    this.#moveTo(await startPositions(start, this.#order.levelCount, header, reader));
    this.#reported = this.#position;
    this.#options.onBegun?.(this.#position);
    // A reader that starts at the head, or before there is anything, has nothing to catch up with.
    if (this.#position >= (header?.headSequence ?? 0n)) this.#liveSinceMs = this.#options.clock.monotonicMs();
    return this.#subscribed(header);
  }

  #subscribed(header: CoordinationHeader | undefined): TailItem {
    this.#epoch = header?.epoch ?? "";
    this.#generation = header?.generation ?? 0;
    this.#reportedAtMs = this.#options.clock.monotonicMs();
    return {
      kind: "subscribed",
      epoch: this.#epoch,
      headSequence: header?.headSequence ?? 0n,
      cursor: this.#cursor(),
    };
  }

  /** The coordination as it is now; undefined while it has not begun. Throws COORDINATION_NOT_FOUND once it was deleted. */
  #checkedHeader(): CoordinationHeader | undefined {
    const { session } = this.#options;
    const { header } = session;
    if (this.#epoch === "" || header?.epoch === this.#epoch) {
      if (header !== undefined) this.#checkPosition(header);
      return header;
    }
    throw new CoordinationError("COORDINATION_NOT_FOUND", `coordination "${session.coordinationId}" was deleted`, {
      metadata: { coordination_id: session.coordinationId },
    });
  }

  #checkPosition(header: CoordinationHeader): void {
    if (this.#epoch !== "" && header.generation !== this.#generation) {
      checkNotRolledBack({ sequences: this.#positions, generation: this.#generation }, header);
      this.#generation = header.generation;
    }
    // Signals leave the history while a reader of all of it begins: it was promised none of them.
    const beforeOldest = header.oldestSequence - 1n;
    if (this.#startsAtOldest && this.#position < beforeOldest) {
      this.#moveTo(this.#positions.map((position) => (position < beforeOldest ? beforeOldest : position)));
      this.#reported = this.#position;
    }
    checkRetained(this.#positions, header);
  }

  async *#scan(): AsyncGenerator<TailItem, void, undefined> {
    const { session, clock, checkpointIntervalMs } = this.#options;
    const generation = session.header?.generation;
    const from = this.#positions;
    const { entries, positions } = await this.#order.readNext(from);
    // A rollback, a removal or a start that moved while the store was read: what was read may not be what comes next.
    if (this.#checkedHeader()?.generation !== generation || this.#positions !== from) return;
    this.#moveTo(positions);
    if (entries.length > 0) {
      const liveSinceMs = this.#liveSinceMs;
      const afterSequence = this.#report();
      yield { kind: "batch", entries, afterSequence, throughSequence: this.#position, cursor: this.#cursor() };
      this.#options.onDelivered(entries, liveSinceMs);
    } else if (clock.monotonicMs() - this.#reportedAtMs >= checkpointIntervalMs) {
      yield this.#checkpoint();
    } else {
      // A long stretch without a match must not keep everybody else from running.
      await setImmediate();
    }
  }

  *#announceCaughtUp(): Generator<TailItem, void, undefined> {
    yield* this.#reportRest();
    this.#hasCaughtUp = true;
    this.#liveSinceMs ??= this.#options.clock.monotonicMs();
    yield { kind: "caughtUp", throughSequence: this.#position, cursor: this.#cursor() };
  }

  /** Tells of what was scanned since the last report, if anything was. */
  *#reportRest(): Generator<TailItem, void, undefined> {
    if (this.#reported < this.#position) yield this.#checkpoint();
  }

  /** Waits until there may be something to do. Returns whether it is time to report a position that has nothing after it. */
  async #parkUntilReportIsDue(): Promise<boolean> {
    const { session, abort, clock, checkpointIntervalMs, filter } = this.#options;
    const dueMs = this.#reportedAtMs + checkpointIntervalMs - clock.monotonicMs();
    const endsInMs = (filter.beforeTimeMs ?? Number.POSITIVE_INFINITY) - clock.nowMs();
    await this.#change.wait(Math.max(0, Math.min(dueMs, endsInMs)));
    if (abort.aborted || clock.monotonicMs() - this.#reportedAtMs < checkpointIntervalMs) return false;
    // Signals that do not concern this reader did not wake it: it looks at them first, and then says where it is.
    return (session.header?.headSequence ?? 0n) <= this.#position;
  }

  #isTimeOver(): boolean {
    const { filter, clock } = this.#options;
    return filter.beforeTimeMs !== undefined && clock.nowMs() >= filter.beforeTimeMs;
  }

  #isForReader(entry: LogEntry): boolean {
    if (!concerns(this.#options.interest, entry)) return false;
    return this.#startTimeMs === undefined || entry.timestampMs >= this.#startTimeMs;
  }

  #checkpoint(): TailItem {
    const afterSequence = this.#report();
    return { kind: "checkpoint", afterSequence, throughSequence: this.#position, cursor: this.#cursor() };
  }

  /** Marks everything through the position as told; returns what was told before. */
  #report(): bigint {
    const before = this.#reported;
    this.#startsAtOldest = false;
    this.#reported = this.#position;
    this.#reportedAtMs = this.#options.clock.monotonicMs();
    return before;
  }

  #moveTo(positions: readonly bigint[]): void {
    this.#positions = positions;
    this.#position = leastOf(positions);
    this.#options.subscription.positionSequence = this.#position;
  }

  #cursor(): string {
    const levelSequences = this.#options.order === "priority" ? this.#positions : undefined;
    const sequence = this.#position;
    return encodeCursor({ epoch: this.#epoch, generation: this.#generation, sequence, levelSequences });
  }
}
