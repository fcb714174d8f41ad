import { maxRequestBytes } from "../model/limits.js";

/** Every bound of a port. All are finite; times are in milliseconds and watched at a coarse cadence, so they may run late by a quarter. */
export interface PortLimits {
  /** The largest request message, also after decompression. */
  readonly maxRequestBytes: number;
  /** The largest response message. */
  readonly maxResponseBytes: number;
  /** Bytes of requests that have not arrived in full, held for all connections together. */
  readonly maxUnfinishedRequestBytes: number;
  /** The longest deadline a client may ask for; a call without one may last forever. */
  readonly maxCallTimeMs: number;
  /** Open connections; one more is closed at once. */
  readonly maxConnections: number;
  /** Open calls of one connection; one more is refused and safe to repeat. */
  readonly maxStreamsPerConnection: number;
  /** Open calls of all connections together; one more is refused and safe to repeat. */
  readonly maxCalls: number;
  /** How long a new connection may take to speak: until its first HTTP/1.1 request or its HTTP/2 settings. */
  readonly prefaceTimeoutMs: number;
  /** How long the request of a call may take to arrive, unless it is a stream of requests. */
  readonly requestTimeoutMs: number;
  /** How long a connection may be without a call. */
  readonly idleTimeoutMs: number;
  /** How often an HTTP/2 peer is asked whether it is there. */
  readonly keepaliveIntervalMs: number;
  /** How long an HTTP/2 peer may leave that question unanswered. */
  readonly keepaliveTimeoutMs: number;
  /** How long a client may accept no byte of a response while some are waiting for it. */
  readonly subscriberStallTimeoutMs: number;
}

/** The bounds when nothing else is said. */
export const defaultPortLimits: PortLimits = {
  maxRequestBytes,
  // What a client that was given no limit of its own accepts (gRPC's default); pages and batches are cut at 1 MiB.
  maxResponseBytes: 4 * 1024 * 1024,
  // 64 of the largest requests: a header can claim a size for nothing, so what counts is what has arrived.
  maxUnfinishedRequestBytes: 64 * maxRequestBytes,
  // 24 days: a timer of Node.js overflows after 24.8 and would fire at once.
  maxCallTimeMs: 576 * 3_600_000,
  maxConnections: 20_000,
  maxStreamsPerConnection: 10_000,
  maxCalls: 100_000,
  prefaceTimeoutMs: 5_000,
  requestTimeoutMs: 30_000,
  idleTimeoutMs: 300_000,
  keepaliveIntervalMs: 30_000,
  keepaliveTimeoutMs: 60_000,
  subscriberStallTimeoutMs: 60_000,
};

const longestSweepIntervalMs = 1_000;
const shortestSweepIntervalMs = 10;

/** How often the timeouts of `limits` are looked at: four times within the shortest, at most once a second. */
export function sweepIntervalMs(limits: PortLimits): number {
  const shortest = Math.min(
    limits.prefaceTimeoutMs,
    limits.requestTimeoutMs,
    limits.idleTimeoutMs,
    limits.keepaliveIntervalMs,
    limits.keepaliveTimeoutMs,
    limits.subscriberStallTimeoutMs,
  );
  return Math.min(longestSweepIntervalMs, Math.max(shortestSweepIntervalMs, Math.floor(shortest / 4)));
}
