import type { Interceptor, Transport } from "@connectrpc/connect";
import {
  createConnectTransport,
  createGrpcTransport,
  createGrpcWebTransport,
  type Http2SessionManager,
} from "@connectrpc/connect-node";
import { checkNumber, timeoutRule } from "../options/check-number.js";
import { type ClientTransport, maxRequestBytes, maxResponseBytes, type Protocol } from "./client-transport.js";
import { withFastDecoding } from "./fast-decoding.js";
import { createGrpcSignalStreams } from "./grpc/grpc-signal-streams.js";
import { GrpcUnaryCalls, withGrpcUnary } from "./grpc/grpc-unary.js";
import { SessionManager } from "./session-manager.js";

/** How a dead connection is noticed: PING frames on a connection with open calls that is silent. */
export interface KeepaliveOptions {
  /** Silence before a PING, in milliseconds. Default 10,000. */
  readonly intervalMs?: number | undefined;
  /** How long its answer may take before the connection counts as lost, in milliseconds. Default 5,000. */
  readonly timeoutMs?: number | undefined;
}

/** What a connection from Node.js is made of. */
export interface NodeTransportOptions {
  readonly baseUrl: string;
  readonly protocol: Protocol;
  readonly keepalive?: KeepaliveOptions | undefined;
  readonly interceptors?: readonly Interceptor[] | undefined;
}

/**
 * Bytes that one stream may be sent ahead: twice the default, so that most batches come without a stop on the way. What is in the window of
 * a slow consumer is what a more urgent signal cannot overtake.
 */
const streamWindowBytes = 128 * 1024;

/**
 * Room for many calls in flight beside a thousand subscriptions on one connection whose consumers are slow, in megabytes; Node's
 * default of 10 ends the connection with ENHANCE_YOUR_CALM.
 */
const maxSessionMemoryMb = 128;

/** Opens a transport over HTTP/2 with one connection for all calls, so that closing it releases everything. Throws InvalidRequestError. */
export function createNodeTransport(options: NodeTransportOptions): ClientTransport {
  const { intervalMs: pingIntervalMs = 10_000, timeoutMs: pingTimeoutMs = 5_000 } = options.keepalive ?? {};
  checkNumber("intervalMs", pingIntervalMs, timeoutRule);
  checkNumber("timeoutMs", pingTimeoutMs, timeoutRule);
  const sessionManager = new SessionManager(
    options.baseUrl,
    { pingIntervalMs, pingTimeoutMs },
    { maxSessionMemory: maxSessionMemoryMb, settings: { initialWindowSize: streamWindowBytes } },
  );
  const plain = transportOf(options, sessionManager);
  const carriesRequestStreams = options.protocol === "grpc";
  const common = { carriesRequestStreams, afterTurn: process.nextTick, close: () => sessionManager.abort() };
  // Interceptors are shown what they would be shown anyway.
  if (options.interceptors?.length) return { ...common, transport: plain };
  const { protocol, baseUrl } = options;
  if (protocol !== "grpc") return { ...common, transport: withFastDecoding(plain) };
  const unaryCalls = new GrpcUnaryCalls(baseUrl, sessionManager);
  return {
    ...common,
    transport: withGrpcUnary(plain, unaryCalls),
    unaryCalls,
    signalStreams: createGrpcSignalStreams(baseUrl, sessionManager),
  };
}

function transportOf(options: NodeTransportOptions, sessionManager: Http2SessionManager): Transport {
  const shared = {
    baseUrl: options.baseUrl,
    sessionManager,
    interceptors: [...(options.interceptors ?? [])],
    // Signals are small and local; compressing them costs more than it saves.
    acceptCompression: [],
    readMaxBytes: maxResponseBytes,
    writeMaxBytes: maxRequestBytes,
  };
  switch (options.protocol) {
    case "grpc":
      return createGrpcTransport(shared);
    case "grpc-web":
      return createGrpcWebTransport({ ...shared, httpVersion: "2" });
    case "connect":
      return createConnectTransport({ ...shared, httpVersion: "2" });
  }
}
