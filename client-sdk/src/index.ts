import {
  CoordinationClient,
  type CoordinationClientBehavior,
  type CoordinationClientConnection,
  type CoordinationClientInjection,
} from "./coordination-client.js";
import { systemClock } from "./time/clock.js";
import { baseUrlsFrom, type CoordinationClientAddress } from "./transport/base-urls.js";
import type { Protocol } from "./transport/client-transport.js";
import { createNodeTransport, type KeepaliveOptions } from "./transport/node-transport.js";
import { createRotatingTransport } from "./transport/rotating-transport.js";

export * from "./public-surface.js";
export type { KeepaliveOptions } from "./transport/node-transport.js";

/** How a client is made in Node.js. */
export type CoordinationClientOptions = CoordinationClientBehavior &
  ((NodeConnection & CoordinationClientAddress) | CoordinationClientInjection);

/** How a client in Node.js reaches its server. */
export interface NodeConnection extends CoordinationClientConnection {
  /** What to speak with the server, always over HTTP/2. Default "grpc". */
  readonly protocol?: Protocol | undefined;
  /** How a dead connection is noticed. */
  readonly keepalive?: KeepaliveOptions | undefined;
}

/**
 * Makes a client. The connection is opened by its first call, and again whenever it was lost. Throws InvalidRequestError when
 * the addresses or the options cannot be used.
 */
export function createCoordinationClient(options: CoordinationClientOptions): CoordinationClient {
  if (options.transport !== undefined) {
    return new CoordinationClient({ transport: options.transport, close: () => undefined }, options);
  }
  const { protocol = "grpc", keepalive, interceptors } = options;
  const transport = createRotatingTransport({
    baseUrls: baseUrlsFrom(options),
    open: (baseUrl) => createNodeTransport({ baseUrl, protocol, keepalive, interceptors }),
    random: systemClock.random,
  });
  return new CoordinationClient(transport, options);
}
