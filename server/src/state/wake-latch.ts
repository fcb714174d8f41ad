/** Remembers that something happened until somebody has looked, so that nothing is missed between two looks. */
export class WakeLatch {
  #isSet = false;
  #resolve: (() => void) | undefined;

  /** Says that something may have happened. */
  readonly set = (): void => {
    this.#isSet = true;
    this.#resolve?.();
  };

  /** Resolves when it was set since the last time; at once if it was already. */
  async next(): Promise<void> {
    if (!this.#isSet) {
      await new Promise<void>((resolve) => {
        this.#resolve = resolve;
      });
      this.#resolve = undefined;
    }
    this.#isSet = false;
  }

  /** As `next`, but at the latest after a time. */
  async nextWithin(milliseconds: number): Promise<void> {
    const timer = setTimeout(this.set, Math.min(milliseconds, maxTimeoutMs));
    try {
      await this.next();
    } finally {
      clearTimeout(timer);
    }
  }
}

// A longer delay makes Node's timers fire at once.
const maxTimeoutMs = 2 ** 31 - 1;
