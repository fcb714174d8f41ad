import { maxBatchSignals, maxResponseBytes } from "../../model/limits.js";
import { controlLevel, priorityLevels } from "../../model/priority-level.js";
import type { ScanPlace } from "../../state/scan-place.js";
import { LevelScan } from "./level-scan.js";
import { LevelTurns } from "./level-turns.js";
import type {
  PendingSignal,
  Picked,
  PickRequest,
  PickSource,
  SignalPicker,
  UnansweredSignal,
} from "./signal-picker.js";
import type { SubscriptionMatcher } from "./subscription-matcher.js";

/*
 * CONTROL, HIGH, NORMAL, LOW, each level in the order of its sequences, those that were delivered before first: they are the
 * earlier ones. CONTROL has room of its own; where the others have none it passes them.
 */

/** Picks the most urgent first. */
export function priorityPicker(source: PickSource): SignalPicker {
  return { pick: (from, request) => new PriorityPick(source, from, request).run() };
}

const levels = [...priorityLevels.keys()];

/** One pick in the making. */
class PriorityPick {
  readonly #scan: LevelScan;
  readonly #matcher: SubscriptionMatcher;
  readonly #turns: LevelTurns;
  readonly #signals: PendingSignal[] = [];
  readonly #unanswered: UnansweredSignal[] = [];
  #bytes = 0;
  #ordinary: number;
  #control: number;
  /** How many ordinary ones the consumers still take. */
  #capacity: number;
  #isHeldUp = false;

  constructor(source: PickSource, from: ScanPlace, { due, room, capacity }: PickRequest) {
    this.#matcher = source.matcher;
    this.#scan = new LevelScan(source, from.positions, { due, count: capacity });
    this.#turns = new LevelTurns(from.turns);
    this.#ordinary = room.ordinary;
    this.#control = room.control;
    this.#capacity = capacity;
  }

  async run(): Promise<Picked> {
    while (!this.#isFull && this.#unanswered.length === 0) {
      const level = await this.#nextLevel();
      if (level === undefined) break;
      this.#take(level);
    }
    for (const level of levels) if (!this.#scan.mayHave(level)) this.#turns.clear(level);
    return {
      signals: this.#signals,
      unanswered: this.#unanswered,
      place: { positions: this.#scan.positions, turns: this.#turns.all },
      isHeldUp: this.#isHeldUp,
    };
  }

  /** Whether what was picked is to go out: no more fits, or more is for another turn. */
  get #isFull(): boolean {
    if (this.#signals.length >= maxBatchSignals || this.#bytes >= maxResponseBytes) return true;
    return this.#signals.length > 0 && this.#matcher.turns?.isOver === true;
  }

  /** The level whose next signal comes next; undefined where none can, or where it is not known what is more urgent. */
  async #nextLevel(): Promise<number | undefined> {
    for (const level of this.#turns.inTurn(this.#waiting)) if ((await this.#isNext(level)) === true) return level;
    for (const level of levels) {
      const isNext = await this.#isNext(level);
      if (isNext === "unknown") return undefined;
      if (isNext) return level;
    }
    return undefined;
  }

  /** The levels in which something may be pending that can be handed out. */
  get #waiting(): readonly number[] {
    return levels.filter((level) => this.#scan.mayHave(level) && this.#mayTake(level));
  }

  async #isNext(level: number): Promise<boolean | "unknown"> {
    if (!this.#mayTake(level)) {
      this.#isHeldUp ||= this.#scan.mayHave(level);
      return false;
    }
    const found = await this.#scan.find(level);
    if (found === undefined) return this.#scan.mayHave(level) ? "unknown" : false;
    if (found.is === "unanswered" || this.#hasRoom(level, found.is)) return true;
    this.#isHeldUp = true;
    return false;
  }

  #mayTake(level: number): boolean {
    return this.#hasRoom(level, "new") || (this.#scan.hasDue(level) && this.#hasRoom(level, "due"));
  }

  #hasRoom(level: number, is: PendingSignal["is"]): boolean {
    if (level === controlLevel) return is === "due" || this.#control > 0;
    return this.#capacity > 0 && (is === "due" || this.#ordinary > 0);
  }

  #take(level: number): void {
    const waiting = this.#waiting;
    const taken = this.#scan.take(level);
    if (taken.is === "unanswered") {
      this.#unanswered.push(taken);
      return;
    }
    this.#turns.handedOut(level, waiting);
    this.#signals.push(taken);
    this.#bytes += taken.entry.bytes.length;
    if (level !== controlLevel) this.#capacity -= 1;
    if (taken.is === "due") return;
    if (level === controlLevel) this.#control -= 1;
    else this.#ordinary -= 1;
  }
}
