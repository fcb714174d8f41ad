import { CoordinationClient, type CoordinationClientBehavior } from "../../../../client-sdk/src/coordination-client.js";
import type { CoordinationSession } from "../../../../client-sdk/src/coordination-session.js";
import { type Clock, systemClock } from "../../../../client-sdk/src/time/clock.js";
import type { ClientTransport, Protocol } from "../../../../client-sdk/src/transport/client-transport.js";
import { createNodeTransport } from "../../../../client-sdk/src/transport/node-transport.js";
import { createRotatingTransport } from "../../../../client-sdk/src/transport/rotating-transport.js";
import { createWebTransport } from "../../../../client-sdk/src/transport/web-transport.js";
import { fastRetry } from "./scripted-client.js";
import { type Script, type ScriptedServer, startScriptedServer } from "./scripted-server.js";

/** A client with the addresses of several scripted servers. `await using` closes it and proves that no server is held. */
export interface Replicas extends AsyncDisposable {
  readonly servers: readonly ScriptedServer[];
  readonly urls: readonly string[];
  readonly client: CoordinationClient;
  /** The agent "agent" in the coordination "c". */
  readonly session: CoordinationSession;
  /** Starts a server that was stopped again, at its address, with another script. */
  restart(index: number, script: Script): Promise<void>;
}

export interface ReplicasOptions extends CoordinationClientBehavior {
  readonly protocol?: Protocol;
  /** By `fetch`, as in browsers. */
  readonly web?: boolean;
  readonly clock?: Clock;
  /** Which server comes first, from 0 to 1. Default 0: the first. */
  readonly random?: number;
}

/** Starts servers and makes a client of them all. */
export async function connectReplicas(scripts: readonly Script[], options: ReplicasOptions = {}): Promise<Replicas> {
  const { protocol = "grpc", web = false, clock = systemClock, random = 0, ...behavior } = options;
  const servers = await Promise.all(scripts.map((script) => startScriptedServer(script, { http1: web })));
  const urls = servers.map(({ url }) => url);
  const open = (baseUrl: string) => openTransport(baseUrl, protocol, web);
  const transport = createRotatingTransport({ baseUrls: urls, open, random: () => random });
  const client = new CoordinationClient(transport, { retry: fastRetry, ...behavior }, clock);
  return {
    servers,
    urls,
    client,
    session: client.coordination("c", { agentId: "agent" }),
    restart: async (index, script) => {
      const port = servers[index]?.port ?? 0;
      servers[index] = await startScriptedServer(script, { port, http1: web });
    },
    [Symbol.asyncDispose]: async () => {
      await client.close();
      // What `fetch` has opened belongs to the platform, which keeps it for later calls.
      if (!web) await Promise.all(servers.map((server) => server.idle()));
      await Promise.all(servers.map((server) => server.stop()));
    },
  };
}

function openTransport(baseUrl: string, protocol: Protocol, web: boolean): ClientTransport {
  if (!web) return createNodeTransport({ baseUrl, protocol });
  return createWebTransport({ baseUrl, protocol: protocol === "grpc" ? "connect" : protocol });
}
