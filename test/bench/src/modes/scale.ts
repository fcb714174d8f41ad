/** How much work a run does. */
export interface Scale {
  /**
   * Sending before anything is measured, in milliseconds: a server runs for days, and after a second or two a good part of its
   * time is still the compiler's.
   */
  readonly warmUpMs: number;
  /** Sending that is measured, in milliseconds. */
  readonly measureMs: number;
  /** Messages whose latency is measured, 500 a second. */
  readonly latencyMessages: number;
  /** Those before them: at so few a second it takes a while until code is compiled. */
  readonly latencyWarmUpMessages: number;
  /** Messages in the channel of which the last 10,000 are read. */
  readonly historyMessages: number;
  readonly idleSubscriptions: number;
  /** Signals in one coordination before the last 1,000 are sent. */
  readonly growthSignals: number;
  readonly coordinations: number;
  /** Signals in the store that the server is killed on. */
  readonly recoverySignals: number;
}

/** The run that counts. */
export const fullScale: Scale = {
  warmUpMs: 4_000,
  measureMs: 3_000,
  latencyMessages: 2_500,
  latencyWarmUpMessages: 2_500,
  historyMessages: 12_000,
  idleSubscriptions: 10_000,
  growthSignals: 100_000,
  coordinations: 1_000,
  recoverySignals: 1_000_000,
};

/** A glance. */
export const quickScale: Scale = {
  warmUpMs: 500,
  measureMs: 1_000,
  latencyMessages: 1_000,
  latencyWarmUpMessages: 500,
  historyMessages: 10_500,
  idleSubscriptions: 1_000,
  growthSignals: 20_000,
  coordinations: 100,
  recoverySignals: 50_000,
};
