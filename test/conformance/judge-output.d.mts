/** What the suite found, after the deviations that are explained. */
export interface Verdict {
  readonly passed: number;
  readonly explained: number;
  readonly faults: readonly { readonly name: string; readonly mismatches: readonly string[] }[];
  /** Failures that the suite counts and does not name. */
  readonly unread: number;
}

/** Undefined when the suite did not end. */
export function judgeOutput(output: string): Verdict | undefined;
