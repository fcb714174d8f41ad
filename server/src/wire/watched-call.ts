import type { PortLimits } from "./port-limits.js";
import type { StalledResponse } from "./port-observer.js";

/** An open call as the table of all calls sees it. */
export interface WatchedCall {
  /** Fails the request when it has taken too long to arrive, and ends a stalled response; returns the latter. */
  check(nowMs: number, limits: PortLimits): StalledResponse | undefined;
  /** Tells the client, where the protocol has a word for it, that its connection ends with this call. */
  makeLast(): void;
}
