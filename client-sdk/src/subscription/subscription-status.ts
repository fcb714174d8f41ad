import type { CoordinationClientError } from "../errors/coordination-client-error.js";

/** What happens to a subscription, beside its signals. */
export type SubscriptionStatus =
  /** The subscription stands. The epoch is empty, and comes with a second event, while the coordination does not exist. */
  | {
      readonly type: "connected";
      readonly epoch: string;
      readonly headSequence: bigint;
      readonly resumed: boolean;
      /** The address it is connected to; `undefined` with a transport of the application's own. */
      readonly baseUrl: string | undefined;
    }
  /** The stream was lost; the next one is opened after the delay. Nothing is lost or repeated meanwhile. */
  | {
      readonly type: "reconnecting";
      readonly error: CoordinationClientError;
      /** Counts from 1 since the last stream that got anywhere. */
      readonly attempt: number;
      /** 0 while there is an address left that was not tried. */
      readonly delayMs: number;
      /** The address that was lost, as in `connected`. */
      readonly baseUrl: string | undefined;
    }
  /** Everything stored was handed out or did not match; what follows is live. Comes again after a reconnect. */
  | { readonly type: "caughtUp"; readonly throughSequence: bigint; readonly cursor: string }
  /** Nothing matched lately, but everything up to this sequence was seen: a position to bookmark. */
  | { readonly type: "checkpoint"; readonly throughSequence: bigint; readonly cursor: string }
  /** The consumer has waited for a signal this long, at least `idleTimeoutMs`; the subscription goes on. */
  | { readonly type: "idle"; readonly idleMs: number }
  /** It has ended: with the error that the iteration throws, or without one. Nothing follows. */
  | { readonly type: "closed"; readonly error?: CoordinationClientError | undefined };
