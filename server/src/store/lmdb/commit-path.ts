import { SpareTime } from "./spare-time.js";

/** How a commit becomes durable: in the log while everything else waits, in the log, or in the tree. */
export type CommitWay = "logAtOnce" | "log" | "tree";

/** What a commit may hold that always goes into the log, in bytes of keys and values: a signal or two. */
const maxBytesInLog = 2 * 1024;
/** What it may hold while the main thread has time to spare: a hundred signals. More costs the tree little more than the log. */
const maxBytesInSpareTime = 24 * 1024;
/** A sync that has held everything else up for longer shows that the disk is slow, in milliseconds. */
const slowMs = 4;
const leastPause = 64;
const longestPause = 4_096;

/**
 * Says how commits become durable. Small ones do in the log, and larger ones while the main thread would only wait for them; with
 * more to do, it had better hand these to the tree's thread. Handing a sync to another thread costs a commit of one signal more
 * than the sync, and twice the wake-up of a thread that sleeps; but while the main thread makes it, nothing else runs. So it makes
 * none for a while once one has taken long; each time that happens again, for twice as many commits.
 */
export class CommitPath {
  readonly #spareTime: Pick<SpareTime, "hasSome">;
  #pause = leastPause;
  /** Commits to come that are not synced at once. */
  #paused = 0;

  constructor(spareTime: Pick<SpareTime, "hasSome"> = new SpareTime()) {
    this.#spareTime = spareTime;
  }

  /** The way of the next commit, of so many bytes. */
  next(bytes: number): CommitWay {
    if (bytes > maxBytesInSpareTime) return "tree";
    if (bytes > maxBytesInLog && !this.#spareTime.hasSome) return "tree";
    if (this.#paused === 0) return "logAtOnce";
    this.#paused -= 1;
    return "log";
  }

  /** Notes how long a sync took that was made at once. */
  took(milliseconds: number): void {
    if (milliseconds < slowMs) {
      this.#pause = leastPause;
      return;
    }
    this.#paused = this.#pause;
    this.#pause = Math.min(2 * this.#pause, longestPause);
  }
}
