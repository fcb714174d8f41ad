import { performance } from "node:perf_hooks";

/** How long the main thread has waited for something to do, and how long it has done something, in milliseconds since the start. */
export interface LoopTimes {
  readonly idle: number;
  readonly active: number;
}

/** What is looked back on, in milliseconds: some commits, and not so many that a change of load shows late. */
const windowMs = 20;
/** The share of its time in which the main thread waits, from which on it has time to spare. */
const leastIdle = 0.3;
/** The share below which it has none any more. Lower: a commit that it makes itself counts as something that it does. */
const leastIdleStill = 0.1;

/** Says whether the main thread could do more than it does. */
export class SpareTime {
  readonly #read: () => LoopTimes;
  #last: LoopTimes;
  #hasSome = false;

  constructor(read: () => LoopTimes = () => performance.eventLoopUtilization()) {
    this.#read = read;
    this.#last = read();
  }

  /** Whether the main thread waited for a good part of the time just past. */
  get hasSome(): boolean {
    const now = this.#read();
    const idle = now.idle - this.#last.idle;
    const total = idle + now.active - this.#last.active;
    if (total >= windowMs) {
      this.#hasSome = idle >= total * (this.#hasSome ? leastIdleStill : leastIdle);
      this.#last = now;
    }
    return this.#hasSome;
  }
}
