/** Whether somebody has gone for whom something is done; an `AbortSignal` is one. */
export type Departure = Pick<AbortSignal, "aborted">;
