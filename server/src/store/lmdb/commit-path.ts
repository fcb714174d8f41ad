import { SpareTime } from "./spare-time.js";

/** What a commit may hold that is made at once, in bytes of keys and values: a signal or two. */
const maxBytesAtOnce = 2 * 1024;
/** What it may hold while the main thread has time to spare: a hundred signals. More is worth the way to another thread. */
const maxBytesInSpareTime = 24 * 1024;
/** A commit that has held everything else up for longer shows that the disk is slow, in milliseconds. */
const slowMs = 4;
const leastPause = 64;
const longestPause = 4_096;

/**
 * Says which commits the main thread makes itself. Handing one to the driver's thread costs a commit of one signal more than the
 * commit, and twice the wake-up of a thread that sleeps; but while the main thread makes it, nothing else runs. So it makes those
 * that are small, larger ones while it would only wait for them, and none for a while once one has taken long; each time that
 * happens again, for twice as many commits.
 */
export class CommitPath {
  readonly #spareTime: Pick<SpareTime, "hasSome">;
  #pause = leastPause;
  /** Commits to come that are not made at once. */
  #paused = 0;

  constructor(spareTime: Pick<SpareTime, "hasSome"> = new SpareTime()) {
    this.#spareTime = spareTime;
  }

  /** Whether the next commit, of so many bytes, is made at once. */
  takesAtOnce(bytes: number): boolean {
    if (bytes > maxBytesInSpareTime) return false;
    if (bytes > maxBytesAtOnce && !this.#spareTime.hasSome) return false;
    if (this.#paused === 0) return true;
    this.#paused -= 1;
    return false;
  }

  /** Notes how long a commit took that was made at once. */
  took(milliseconds: number): void {
    if (milliseconds < slowMs) {
      this.#pause = leastPause;
      return;
    }
    this.#paused = this.#pause;
    this.#pause = Math.min(2 * this.#pause, longestPause);
  }
}
