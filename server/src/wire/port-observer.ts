/** A response whose client stopped accepting bytes. */
export interface StalledResponse {
  /** Path of the call, for example `/coordination.v1.SignalService/Subscribe`. */
  readonly path: string;
  /** Address and port of the client, empty when it is gone. */
  readonly peer: string;
  /** How long it accepted nothing, in milliseconds. */
  readonly stalledMs: number;
  /** Bytes that were waiting for it. */
  readonly pendingBytes: number;
}

/** Is told what happens on a port; calls must not throw. */
export interface PortObserver {
  /** Every call is followed by one of `connectionClosed`. */
  readonly connectionOpened?: () => void;
  readonly connectionClosed?: () => void;
  /** A connection was closed at once, because as many as allowed were open. */
  readonly connectionRefused?: () => void;
  /** A request's headers have arrived. Every call is followed by one of `callClosed`. */
  readonly callOpened?: () => void;
  readonly callClosed?: () => void;
  /** The port answered a call with an error of its own; `reason` as in `google.rpc.ErrorInfo`. */
  readonly callRefused?: (reason: string) => void;
  /** A response was ended because its client had accepted nothing for the allowed time (SUBSCRIBER_TOO_SLOW). */
  readonly subscriberStalled?: (stalled: StalledResponse) => void;
}
