import type { CoordinationSignal } from "@coordination-signals/proto/coordination/v1/signal";
import type { GetSignalHistoryResponse } from "@coordination-signals/proto/coordination/v1/signal_service";

/**
 * A page of history. Its signals are taken one by one: where they are still encoded, each is decoded then, so that those
 * already handed out are garbage before the page is through.
 */
export interface SignalPage {
  /** How many signals it holds, those taken included. */
  readonly size: number;
  /** Reads the next page; empty after the last. */
  readonly nextPageToken: string;
  /** Takes the next signal; `undefined` after the last. Throws ConnectError when it cannot be decoded. */
  take(): CoordinationSignal | undefined;
}

/** Makes a page of signals that are decoded. */
export function pageOfMessage({ signals, nextPageToken }: GetSignalHistoryResponse): SignalPage {
  let taken = 0;
  return { size: signals.length, nextPageToken, take: () => signals[taken++] };
}
