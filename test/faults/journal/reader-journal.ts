import { crc32 } from "node:zlib";
import type { CoordinationSignal } from "@coordination-signals/proto/coordination/v1/signal";
import { NumberList } from "./number-list.js";
import type { PlannedSignal } from "./planned-signal.js";

/** What tells a signal from every other. */
export type ShownSignal = Pick<CoordinationSignal, "sequence" | "signalId" | "requestId">;

/** What one reader was shown, and the ranges it was told of. */
export class ReaderJournal {
  readonly name: string;
  /** Whether the reader is to get a signal. */
  readonly wants: (planned: PlannedSignal) => boolean;
  /** Sequence to fingerprint. */
  readonly #shown = new NumberList();
  readonly #findings: string[] = [];
  readonly #firstSequence: bigint;
  #through: bigint;
  #lastShown = 0n;
  #shownCount = 0;

  /** `afterSequence` is where the reader starts. */
  constructor(name: string, wants: (planned: PlannedSignal) => boolean, afterSequence = 0n) {
    this.name = name;
    this.wants = wants;
    this.#firstSequence = afterSequence + 1n;
    this.#through = afterSequence;
  }

  /** The reader was told of everything through this sequence. */
  get throughSequence(): bigint {
    return this.#through;
  }

  get firstSequence(): bigint {
    return this.#firstSequence;
  }

  get shownCount(): number {
    return this.#shownCount;
  }

  /** What was wrong by itself, whatever the log holds. */
  get findings(): readonly string[] {
    return this.#findings;
  }

  /** Notes a range that the server said it had scanned. */
  scanned(afterSequence: bigint, throughSequence: bigint): void {
    if (afterSequence !== this.#through) {
      this.#findings.push(`a range begins after ${afterSequence}, the one before ended with ${this.#through}`);
    }
    this.#through = throughSequence;
  }

  /** Notes a signal that was shown. */
  shown(signal: ShownSignal): void {
    const { sequence } = signal;
    if (sequence <= this.#lastShown) this.#findings.push(`signal ${sequence} came after ${this.#lastShown}`);
    this.#lastShown = sequence;
    this.#shown.set(Number(sequence), fingerprintOf(signal));
    this.#shownCount += 1;
  }

  /** Notes that a reader whose ranges are hidden has got this far. */
  reached(sequence: bigint): void {
    if (sequence > this.#through) this.#through = sequence;
  }

  /** How a signal in the log compares with what the reader was shown at its sequence. */
  compare(signal: ShownSignal): "same" | "other" | "not shown" {
    const shown = this.#shown.at(Number(signal.sequence));
    if (shown === 0) return "not shown";
    return shown === fingerprintOf(signal) ? "same" : "other";
  }

  /** The greatest sequence that was shown. */
  get lastShown(): bigint {
    return this.#lastShown;
  }
}

/** Tells incarnations of a signal apart: another one at the same place has another id. Never 0. */
function fingerprintOf({ signalId, requestId }: ShownSignal): number {
  return crc32(`${signalId} ${requestId}`) + 1;
}
