import {
  CoordinationClient,
  type CoordinationClientBehavior,
  type CoordinationClientConnection,
  type CoordinationClientInjection,
} from "./coordination-client.js";
import { systemClock } from "./time/clock.js";
import { baseUrlsFrom, type CoordinationClientAddress } from "./transport/base-urls.js";
import type { Protocol } from "./transport/client-transport.js";
import { createRotatingTransport } from "./transport/rotating-transport.js";
import { createWebTransport } from "./transport/web-transport.js";

export * from "./public-surface.js";

/** How a client is made in a browser. */
export type CoordinationClientOptions = CoordinationClientBehavior &
  ((BrowserConnection & CoordinationClientAddress) | CoordinationClientInjection);

/** How a client in a browser reaches its server. */
export interface BrowserConnection extends CoordinationClientConnection {
  /** What to speak with the server. Default "connect". */
  readonly protocol?: Exclude<Protocol, "grpc"> | undefined;
}

/** Makes a client that calls through `fetch`. Throws InvalidRequestError when the addresses or the options cannot be used. */
export function createCoordinationClient(options: CoordinationClientOptions): CoordinationClient {
  if (options.transport !== undefined) {
    return new CoordinationClient({ transport: options.transport, close: () => undefined }, options);
  }
  const { protocol = "connect", interceptors } = options;
  const transport = createRotatingTransport({
    baseUrls: baseUrlsFrom(options),
    open: (baseUrl) => createWebTransport({ baseUrl, protocol, interceptors }),
    random: systemClock.random,
  });
  return new CoordinationClient(transport, options);
}
