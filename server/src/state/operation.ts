import type { Draft } from "./draft.js";

/** A change of one coordination, run under its lock. */
export interface Operation<T> {
  /** Request keys it wants to look up; fetched before it runs. */
  readonly requestKeys: readonly string[];
  /** How many signals it may append: bounds a commit. */
  readonly signalCount: number;
  /** Nothing else may be in its commit, because the log is another one afterwards. */
  readonly runsAlone?: boolean;
  /**
   * Reads and changes the draft; synchronous. What it throws is its answer, and leaves no trace. Where several servers share
   * a store it may run again, on a newer draft, and only the last time counts.
   */
  readonly run: (draft: Draft) => T;
  /** Told why the operation failed, before any operation that waits behind it runs. */
  readonly onRejected?: (error: unknown) => void;
}

/** An operation that waits for its turn, and where its answer goes. */
export interface QueuedOperation {
  readonly operation: Operation<unknown>;
  readonly resolve: (value: unknown) => void;
  readonly reject: (error: unknown) => void;
}

/** An operation that looks up no requests and appends nothing. */
export function plainOperation<T>(run: (draft: Draft) => T): Operation<T> {
  return { requestKeys: [], signalCount: 0, run };
}
