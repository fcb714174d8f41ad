import type { Clock } from "../model/clock.js";
import { CoordinationError } from "../model/coordination-error.js";
import { encodeCursor, leastOf } from "../model/cursor.js";
import type { LogEntry } from "../model/log-entry.js";
import type { CompiledFilter } from "../model/signal-filter.js";
import type { LogReader } from "../state/log-reader.js";
import { concerns, type ParkedReader, type ReaderInterest } from "../state/reader-index.js";
import type { SessionState } from "../state/session-state.js";
import type { CoordinationHeader } from "../store/signal-store.js";
import type { ItemSink, PumpedReader } from "./item-sink.js";
import { priorityOrder } from "./priority-order.js";
import type { DeliveryOrder, ReadingOrder, ReadingSource, ReadPart } from "./reading-order.js";
import { sequenceOrder } from "./sequence-order.js";
import type { SharedCursor } from "./shared-cursor.js";
import type { SignalView } from "./signal-view.js";
import { checkNotRolledBack, checkRetained, type SubscriptionStart, startPositions } from "./subscription-start.js";
import { shuttingDown, type TailItem } from "./tail-item.js";
import type { WakeRound } from "./wake-round.js";

/*
 * A reader takes from the log after its position, delivers what matches, and moves the position past everything it has scanned;
 * when nothing is left it parks until something may concern it. There is no queue: order, no gap, no duplicate and resuming
 * follow from (log, position), and a slow reader costs one batch of memory. It is pumped, a step at a time: what it does next
 * follows from what it knows, so that one who waits holds nothing but this object.
 *
 * Batches and checkpoints name the range they stand for; each begins where the one before ended.
 */

/** What all tailers of a server share. */
export interface TailEnvironment {
  readonly reader: LogReader;
  readonly clock: Clock;
  readonly round: WakeRound;
  readonly cursor: SharedCursor;
  /** Whether the server stops: a tailer, woken, then says where it is and ends with SHUTTING_DOWN. */
  readonly isDraining: () => boolean;
  /** Resolves when every signal accepted before the call is visible. */
  whenVisible(coordinationId: string): Promise<void>;
}

/** For whom a tailer reads. */
export interface TailOwner {
  /** Where the position is shown to others. */
  positionSequence: bigint;
  /** Called when a batch was taken by the reader's connection. */
  delivered(entries: readonly LogEntry[], liveSinceMs: number | undefined): void;
  /** Called once when the tailer has ended by itself: nothing more can come. */
  ended(): void;
  /** As `ended`, with what ended it. */
  failed(error: unknown): void;
}

/** What a tailer works with. */
export interface TailOptions {
  readonly environment: TailEnvironment;
  readonly session: SessionState;
  readonly owner: TailOwner;
  readonly sink: ItemSink;
  readonly start: SubscriptionStart;
  readonly order: DeliveryOrder;
  readonly interest: ReaderInterest;
  readonly filter: CompiledFilter;
  /** What the reader sees of the signals. */
  readonly view: SignalView;
  readonly checkpointIntervalMs: number;
}

/**
 * What a tailer does now. `ready`: nothing, it waits to be resumed. `busy`: it writes, or waits for what wakes it by itself, as the
 * store does. `parked`: it waits until something that concerns it happens, or the time is over.
 */
type TailState = "ready" | "busy" | "parked";

/** What comes after a step: the next, or a wait in one of the states. */
type NextStep = "on" | Exclude<TailState, "ready">;

const orders: Readonly<Record<DeliveryOrder, ReadingOrder>> = { sequence: sequenceOrder, priority: priorityOrder() };

// A longer delay makes Node's timers fire at once.
const maxTimeoutMs = 2 ** 31 - 1;

/** Reads a coordination's log from a start, and on as it grows. */
export class Tailer implements PumpedReader, ParkedReader, ReadingSource {
  readonly session: SessionState;
  readonly interest: ReaderInterest;
  readonly view: SignalView;
  readonly #environment: TailEnvironment;
  readonly #owner: TailOwner;
  readonly #sink: ItemSink;
  readonly #filter: CompiledFilter;
  readonly #checkpointIntervalMs: number;
  readonly #startTimeMs: number | undefined;
  readonly #order: DeliveryOrder;
  #state: TailState = "busy";
  #hasLeft = false;
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
  /** What was written and is not taken yet. */
  #handedOut: { readonly entries: readonly LogEntry[]; readonly liveSinceMs: number | undefined } | undefined;
  /** A busy reader parks thousands of times a second: a timer that is there already is left for the next to look at. */
  #timer: NodeJS.Timeout | undefined;
  #timerDueMs = 0;

  constructor(options: TailOptions) {
    this.session = options.session;
    this.interest = options.interest;
    this.view = options.view;
    this.#environment = options.environment;
    this.#owner = options.owner;
    this.#sink = options.sink;
    this.#filter = options.filter;
    this.#checkpointIntervalMs = options.checkpointIntervalMs;
    this.#startTimeMs = options.start.at === "time" ? options.start.timeMs : undefined;
    this.#startsAtOldest = options.start.at === "earliest" || options.start.at === "time";
    this.#order = options.order;
  }

  get reader(): LogReader {
    return this.#environment.reader;
  }

  /**
   * Finds its place, says that it stands there, and goes on; before that tells after which sequence it starts. Rejects with what
   * is wrong with the start.
   */
  async begin(start: SubscriptionStart, onBegun: (startSequence: bigint) => void): Promise<void> {
    const { header } = this.session;
    const { levelCount } = orders[this.#order];
    const positions = await startPositions(start, levelCount, header, this.reader);
    if (this.#hasLeft) return;
    this.#moveTo(positions);
    this.#reported = this.#position;
    onBegun(this.#position);
    // A reader that starts at the head, or before there is anything, has nothing to catch up with.
    if (this.#position >= (header?.headSequence ?? 0n)) this.#liveSinceMs = this.#environment.clock.monotonicMs();
    this.#sayItStands(header);
    if (this.view.turns === undefined) this.#go();
    // It is to leave before anything is evaluated.
    else setImmediate(() => this.#go());
  }

  resume(): void {
    if (this.#state === "ready") this.#go();
  }

  wake(passedSequence?: bigint): void {
    if (passedSequence !== undefined) this.#pass(passedSequence);
    this.#state = "ready";
    this.#environment.round.add(this);
  }

  leave(): void {
    this.#hasLeft = true;
    this.#state = "busy";
    this.#handedOut = undefined;
    this.session.readers.leave(this);
    clearTimeout(this.#timer);
  }

  /** Whether nothing more need be read. */
  get aborted(): boolean {
    return this.#hasLeft || this.#environment.isDraining();
  }

  isForReader(entry: LogEntry): boolean {
    if (!concerns(this.interest, entry)) return false;
    return this.#startTimeMs === undefined || entry.timestampMs >= this.#startTimeMs;
  }

  /** Goes on, with `first` or at the next step, until something has to be waited for. */
  #go(first?: () => NextStep): void {
    if (this.#hasLeft) return;
    this.#state = "busy";
    try {
      let next = first === undefined ? "on" : first();
      while (next === "on" && !this.#hasLeft && this.#sink.isReady) next = this.#step();
      if (!this.#hasLeft) this.#state = next === "on" ? "ready" : next;
    } catch (error) {
      this.#fail(error);
    }
  }

  /** Goes on when this is there. */
  #goOnAfter<T>(work: Promise<T>, then: (value: T) => NextStep): NextStep {
    work.then(
      (value) => this.#go(() => then(value)),
      (error: unknown) => this.#fail(error),
    );
    return "busy";
  }

  /** Whoever has left is told of nothing, not even of an error. */
  #fail(error: unknown): void {
    if (this.#hasLeft) return;
    this.leave();
    this.#owner.failed(error);
  }

  #step(): NextStep {
    this.#noteDelivered();
    if (this.#environment.isDraining()) {
      this.#writeCheckpoint();
      throw shuttingDown("subscribe again with the last cursor");
    }
    const header = this.#checkedHeader();
    if (header !== undefined && this.#epoch === "") return this.#sayItStands(header);
    if (header !== undefined && this.#position < header.headSequence) return this.#scan(header);
    if (header !== undefined && !this.#hasCaughtUp) return this.#announceCaughtUp();
    if (header?.closeTimeMs !== undefined || this.#hasSeenAllInTime) return this.#end();
    if (this.#isTimeOver()) return this.#seeAllInTime();
    return this.#isReportDue() ? this.#writeCheckpoint() : this.#park();
  }

  #sayItStands(header: CoordinationHeader | undefined): NextStep {
    this.#epoch = header?.epoch ?? "";
    this.#generation = header?.generation ?? 0;
    this.#reportedAtMs = this.#environment.clock.monotonicMs();
    const headSequence = header?.headSequence ?? 0n;
    return this.#write({ kind: "subscribed", epoch: this.#epoch, headSequence, cursor: this.#cursor() });
  }

  /** The coordination as it is now; undefined while it has not begun. Throws COORDINATION_NOT_FOUND once it was deleted. */
  #checkedHeader(): CoordinationHeader | undefined {
    const { header, coordinationId } = this.session;
    if (this.#epoch === "" || header?.epoch === this.#epoch) {
      if (header !== undefined) this.#checkPosition(header);
      return header;
    }
    throw new CoordinationError("COORDINATION_NOT_FOUND", `coordination "${coordinationId}" was deleted`, {
      metadata: { coordination_id: coordinationId },
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

  #scan({ generation }: CoordinationHeader): NextStep {
    const turn = this.view.turns?.nextIfOver(this);
    if (turn !== undefined) return this.#goOnAfter(turn, () => "on");
    const from = this.#positions;
    const part = orders[this.#order].readNext(this, from);
    if (!(part instanceof Promise)) return this.#take(part);
    return this.#goOnAfter(part, (read) => {
      // A rollback, a removal or a start that moved while the store was read: what was read may not be what comes next.
      const isSame = this.#checkedHeader()?.generation === generation && this.#positions === from;
      return isSame ? this.#take(read) : "on";
    });
  }

  #take({ entries, positions }: ReadPart): NextStep {
    this.#moveTo(positions);
    if (entries.length > 0) {
      this.#handedOut = { entries, liveSinceMs: this.#liveSinceMs };
      const afterSequence = this.#report();
      const throughSequence = this.#position;
      return this.#write({ kind: "batch", entries, afterSequence, throughSequence, cursor: this.#cursor() });
    }
    if (this.#isReportDue()) return this.#writeCheckpoint();
    // A long stretch without a match must not keep everybody else from running.
    setImmediate(() => this.#go());
    return "busy";
  }

  #noteDelivered(): void {
    const batch = this.#handedOut;
    if (batch === undefined) return;
    this.#handedOut = undefined;
    this.#owner.delivered(batch.entries, batch.liveSinceMs);
  }

  #announceCaughtUp(): NextStep {
    // First of what was scanned since the last report. Then it looks again, for the reader may take its time.
    if (this.#reported < this.#position) return this.#writeCheckpoint();
    this.#hasCaughtUp = true;
    this.#liveSinceMs ??= this.#environment.clock.monotonicMs();
    return this.#write({ kind: "caughtUp", throughSequence: this.#position, cursor: this.#cursor() });
  }

  #end(): NextStep {
    if (this.#reported < this.#position) this.#writeCheckpoint();
    this.leave();
    this.#owner.ended();
    return "busy";
  }

  #seeAllInTime(): NextStep {
    return this.#goOnAfter(this.#environment.whenVisible(this.session.coordinationId), () => {
      this.#hasSeenAllInTime = true;
      return "on";
    });
  }

  /** Parks before it returns: nothing that comes after the last look is missed. */
  #park(): NextStep {
    const { clock } = this.#environment;
    const dueInMs = this.#reportedAtMs + this.#checkpointIntervalMs - clock.monotonicMs();
    const endsInMs = (this.#filter.beforeTimeMs ?? Number.POSITIVE_INFINITY) - clock.nowMs();
    this.#wakeIn(Math.ceil(Math.min(dueInMs, endsInMs, maxTimeoutMs)));
    this.session.readers.park(this);
    return "parked";
  }

  #wakeIn(milliseconds: number): void {
    const dueMs = performance.now() + milliseconds;
    if (this.#timer !== undefined && this.#timerDueMs <= dueMs) return;
    clearTimeout(this.#timer);
    this.#timerDueMs = dueMs;
    this.#timer = setTimeout(Tailer.#timeIsOver, milliseconds, this);
  }

  static #timeIsOver(tailer: Tailer): void {
    tailer.#timer = undefined;
    if (tailer.#state !== "parked") return;
    tailer.session.readers.leave(tailer);
    tailer.#pass(tailer.session.header?.headSequence ?? 0n);
    tailer.#go();
  }

  /** Whether it is time to say where the reader is, though nothing is there for it. */
  #isReportDue(): boolean {
    return this.#environment.clock.monotonicMs() - this.#reportedAtMs >= this.#checkpointIntervalMs;
  }

  #isTimeOver(): boolean {
    const { beforeTimeMs } = this.#filter;
    return beforeTimeMs !== undefined && this.#environment.clock.nowMs() >= beforeTimeMs;
  }

  #writeCheckpoint(): NextStep {
    const afterSequence = this.#report();
    return this.#write({ kind: "checkpoint", afterSequence, throughSequence: this.#position, cursor: this.#cursor() });
  }

  #write(item: TailItem): NextStep {
    this.#sink.write(item);
    return "on";
  }

  /** Marks everything through the position as told; returns what was told before. */
  #report(): bigint {
    const before = this.#reported;
    this.#startsAtOldest = false;
    this.#reported = this.#position;
    this.#reportedAtMs = this.#environment.clock.monotonicMs();
    return before;
  }

  #moveTo(positions: readonly bigint[]): void {
    this.#positions = positions;
    this.#position = leastOf(positions);
    this.#owner.positionSequence = this.#position;
  }

  /**
   * Moves past what came while it was parked and did not concern it, without a look: that may have left the history by now, and no
   * reader is behind because of it.
   */
  #pass(sequence: bigint): void {
    if (this.#position >= sequence) return;
    this.#moveTo(this.#positions.map((position) => (position < sequence ? sequence : position)));
  }

  #cursor(): string {
    const [epoch, generation, sequence] = [this.#epoch, this.#generation, this.#position];
    if (this.#order === "sequence") return this.#environment.cursor.at(epoch, generation, sequence);
    return encodeCursor({ epoch, generation, sequence, levelSequences: this.#positions });
  }
}
