import type { ConditionState } from "./condition-state.js";

/** Where the answer of a wait goes. One of the two is called, once, unless the caller leaves before. */
export interface WaitSink {
  /** Enough conditions are met. */
  succeed(states: readonly ConditionState[]): void;
  /** Something has ended it otherwise. */
  fail(error: unknown): void;
}

/** A call that waits, for the one who made it. */
export interface WaitCall {
  /**
   * The caller has gone, which the reason tells: all that is held for it is freed at once, and its sink is not called any more. Safe to
   * repeat.
   */
  leave(reason: unknown): void;
}

/** The answer of a wait, for those who await it. Rejects with the signal's reason when the caller has gone. */
export function answerOf(open: (sink: WaitSink) => WaitCall, abort: AbortSignal): Promise<readonly ConditionState[]> {
  return new Promise((resolve, reject) => {
    abort.throwIfAborted();
    let call: WaitCall | undefined;
    const leave = (): void => {
      call?.leave(abort.reason);
      reject(abort.reason);
    };
    const ended =
      <T>(settle: (value: T) => void) =>
      (value: T): void => {
        abort.removeEventListener("abort", leave);
        settle(value);
      };
    abort.addEventListener("abort", leave);
    call = open({ succeed: ended(resolve), fail: ended(reject) });
  });
}
