/** Stops a timer; stopping one that has fired or was stopped does nothing. */
export type CancelTimer = () => void;

/** Time and chance as this package uses them. Tests bring their own. */
export interface Clock {
  /** Milliseconds since an arbitrary start; never goes back. */
  nowMs(): number;
  /** A number from 0 (included) to 1 (excluded). */
  random(): number;
  /** Calls back once after the delay. A background timer does not keep the process alive. */
  startTimer(delayMs: number, callback: () => void, kind?: "foreground" | "background"): CancelTimer;
}

/** The longest delay timers can wait, about 24.8 days; longer ones would fire at once. */
const maxTimerMs = 2 ** 31 - 1;

/** The clock of the machine. */
export const systemClock: Clock = {
  nowMs: () => performance.now(),
  random: () => Math.random(),
  startTimer(delayMs, callback, kind = "foreground") {
    const timer: unknown = setTimeout(callback, Math.min(Math.max(delayMs, 0), maxTimerMs));
    if (kind === "background") unreference(timer);
    return () => clearTimeout(timer as Parameters<typeof clearTimeout>[0]);
  },
};

// In browsers a timer is a number, and no timer keeps the page alive.
function unreference(timer: unknown): void {
  if (typeof timer === "object" && timer !== null && "unref" in timer && typeof timer.unref === "function") {
    timer.unref();
  }
}
