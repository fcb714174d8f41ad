/** Where the server reads the time; injected so that tests can move it. */
export interface Clock {
  /** Wall clock in milliseconds since 1970; may step backwards. */
  nowMs(): number;
  /** Milliseconds with a fraction since an arbitrary start; never goes back. For spans, not for dates. */
  monotonicMs(): number;
}

/** The machine's clock. */
export const systemClock: Clock = {
  nowMs: () => Date.now(),
  monotonicMs: () => performance.now(),
};
