import type { Transport } from "@connectrpc/connect";
import type { SignalStreams } from "./signal-streams.js";
import type { UnaryCalls } from "./unary-calls.js";

/** The protocols the server speaks. Each carries the same messages. */
export type Protocol = "grpc" | "grpc-web" | "connect";

/** How calls reach the server. */
export interface ClientTransport {
  readonly transport: Transport;
  /** How many addresses a call that is repeated can go to, one after the other. Default 1. */
  readonly addressCount?: number | undefined;
  /** Whether it carries a stream of requests beside their answers. Default false. */
  readonly carriesRequestStreams?: boolean | undefined;
  /** The streams that it reads and writes as bytes; without them they go through `transport`. */
  readonly signalStreams?: SignalStreams | undefined;
  /** Its unary calls where it makes them itself; without them they go through `transport`. */
  readonly unaryCalls?: UnaryCalls | undefined;
  /** Calls back when this turn of the event loop has run its code, and before its writes leave. Default: no such call. */
  readonly afterTurn?: ((callback: () => void) => void) | undefined;
  /** Releases its connections; calls still open fail. */
  close(): void;
}

/** The largest response message, as gRPC's default; the server cuts batches and pages at a quarter of it. */
export const maxResponseBytes = 4 * 1024 * 1024;

/** The largest request message the server accepts. */
export const maxRequestBytes = 4 * 1024 * 1024;
