import type { JournalChange } from "../store/signal-store.js";
import type { WaitConditionRecord, WaitRecord } from "./wait-record.js";

/** How a wait ended. */
export type WaitOutcome = "satisfied" | "failed" | "deadlock" | "timedOut" | "cancelled" | "closed" | "interrupted";

/** A wait that has ended, for those who look back. */
export interface EndedWaitRecord extends Omit<WaitRecord, "expireTimeMs" | "owner" | "matched"> {
  /** Its first conditions, as many as fit into 4 KiB; their filters and the names beyond the tenth are left out. */
  readonly conditions: readonly WaitConditionRecord[];
  readonly conditionCount: number;
  readonly endTimeMs: number;
  readonly outcome: WaitOutcome;
  /** The signals that met conditions, in decimal, by the conditions' places. */
  readonly sequences: Readonly<Record<string, string>>;
  /** The signal that ended it, in decimal; undefined when none did. */
  readonly endSequence: string | undefined;
}

/** Ended waits that a coordination remembers. */
export const maxEndedWaits = 1_000;

/*
 * Ended waits are written with the next commit of their coordination, whatever it is for, or within seconds by themselves: a
 * wait costs no commit of its own. Their places are those of a ring, and the header says how many there were: so the last thousand
 * are kept without anybody having to remove the older ones.
 */

/** The ended waits of one coordination that are not written yet. */
export class EndedWaits {
  #waiting: EndedWaitRecord[] = [];
  #dropped = 0;

  /** Those that are not written yet, the oldest first. */
  get waiting(): readonly EndedWaitRecord[] {
    return this.#waiting;
  }

  /** How many ended since the last write that others have pushed out already. */
  get dropped(): number {
    return this.#dropped;
  }

  add(record: EndedWaitRecord): void {
    this.#waiting.push(record);
    if (this.#waiting.length <= 2 * maxEndedWaits) return;
    this.#dropped += this.#waiting.length - maxEndedWaits;
    this.#waiting = this.#waiting.slice(-maxEndedWaits);
  }

  /** Takes out what has become durable. */
  written(records: ReadonlySet<EndedWaitRecord>, dropped: number): void {
    if (records.size === 0) return;
    this.#waiting = this.#waiting.filter((record) => !records.has(record));
    this.#dropped -= dropped;
  }

  clear(): void {
    this.#waiting = [];
    this.#dropped = 0;
  }
}

/** The journal record of an ended wait that is the `number`th of its coordination, from 0. */
export function endedWaitChange(record: EndedWaitRecord, number: number): JournalChange {
  const key = String(number % maxEndedWaits).padStart(4, "0");
  return { kind: "endedWait", key, value: Buffer.from(JSON.stringify(record)) };
}

/** The ended wait in a journal record's value. */
export function decodeEndedWait(value: Uint8Array): EndedWaitRecord {
  return JSON.parse(Buffer.from(value).toString());
}
