import type { Interceptor } from "@connectrpc/connect";
import { createConnectTransport, createGrpcWebTransport } from "@connectrpc/connect-web";
import type { ClientTransport, Protocol } from "./client-transport.js";

/** What a connection through `fetch` is made of. */
export interface WebTransportOptions {
  readonly baseUrl: string;
  /** Browsers cannot speak gRPC itself: it needs HTTP trailers. */
  readonly protocol: Exclude<Protocol, "grpc">;
  readonly interceptors?: readonly Interceptor[] | undefined;
}

/** Makes a transport over `fetch`. The browser owns the connections, so closing it releases nothing. */
export function createWebTransport(options: WebTransportOptions): ClientTransport {
  // Binary: batches are split by their encoded size, which JSON would exceed.
  const shared = {
    baseUrl: options.baseUrl,
    interceptors: [...(options.interceptors ?? [])],
    useBinaryFormat: true,
  };
  const transport = options.protocol === "connect" ? createConnectTransport(shared) : createGrpcWebTransport(shared);
  return { transport, close: () => undefined };
}
