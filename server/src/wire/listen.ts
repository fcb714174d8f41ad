import { once } from "node:events";
import type { AddressInfo, Server } from "node:net";

/** Where a port is. */
export interface PortAddress {
  readonly host: string;
  readonly port: number;
}

/** Makes a server listen. Rejects with a message that says what to do about it when it cannot. */
export async function listen(server: Server, { host, port }: PortAddress): Promise<PortAddress> {
  try {
    server.listen({ host, port });
    await once(server, "listening");
  } catch (error) {
    throw new Error(listenFailure(error, { host, port }), { cause: error });
  }
  return { host, port: (server.address() as AddressInfo).port };
}

/** An address as a URL, IPv6 in brackets. */
export function urlOf({ host, port }: PortAddress): string {
  return `http://${host.includes(":") ? `[${host}]` : host}:${port}`;
}

function listenFailure(error: unknown, { host, port }: PortAddress): string {
  const code = typeof error === "object" && error !== null && "code" in error ? error.code : undefined;
  switch (code) {
    case "EADDRINUSE":
      return `port ${port} of ${host} is in use: stop the process that has it, or choose another with --port (0 picks a free one)`;
    case "EACCES":
      return `port ${port} of ${host} needs rights this process does not have: choose one above 1023 with --port`;
    case "EADDRNOTAVAIL":
    case "ENOTFOUND":
    case "EAI_AGAIN":
    case "EINVAL":
      return `host ${host} is no address of this machine: choose one with --host (127.0.0.1 for this machine alone, 0.0.0.0 for every network)`;
    default:
      return `cannot listen on ${host} port ${port}: ${error instanceof Error ? error.message : String(error)}`;
  }
}
