/*
 * The protocol that the limits speak: as little as a signal server can do. It keeps what is published in memory, without
 * decoding it, and hands it to every subscriber that is there. It has one channel.
 */

/** Paths of its calls, and of the one call of the contract that is measured with codec and validator. */
export const relayPaths = {
  /** Bidirectional stream: signals in, for each chunk of them one count of those stored so far out. */
  publish: "/bench.v1.Relay/Publish",
  /** Unary: one signal in, an empty message out. */
  publishOne: "/bench.v1.Relay/PublishOne",
  /** Server stream: an empty message when it stands, then a signal per message. */
  subscribe: "/bench.v1.Relay/Subscribe",
  sendSignal: "/coordination.v1.SignalService/SendSignal",
} as const;

/** The largest message that the limits read, in bytes. */
export const maxRelayMessageBytes = 4 * 1024 * 1024;

/** Bytes one side of an HTTP/2 connection may send ahead of the other's reading. */
export const relayWindowBytes = 4 * 1024 * 1024;

/** What a relay's server prints when it serves; its URL follows. */
export const relayListening = "listening on ";

/** How a relay's client publishes: everything on one stream, or each signal by a call of its own. */
export type Publishing = "stream" | "unary";
