import { CoordinationClient, type CoordinationClientBehavior } from "../../../../client-sdk/src/coordination-client.js";
import type { CoordinationSession } from "../../../../client-sdk/src/coordination-session.js";
import { type Clock, systemClock } from "../../../../client-sdk/src/time/clock.js";
import type { Protocol } from "../../../../client-sdk/src/transport/client-transport.js";
import { createNodeTransport } from "../../../../client-sdk/src/transport/node-transport.js";
import { type Script, type ScriptedServer, startScriptedServer } from "./scripted-server.js";

/** A client of a scripted server. `await using` closes it and waits until the server has no connection left. */
export interface ScriptedClient extends AsyncDisposable {
  readonly server: ScriptedServer;
  readonly client: CoordinationClient;
  /** The agent "agent" in the coordination "c". */
  readonly session: CoordinationSession;
}

export interface ScriptedClientOptions extends CoordinationClientBehavior {
  readonly protocol?: Protocol;
  readonly clock?: Clock;
}

/** Retries without waiting long. */
export const fastRetry = { initialDelayMs: 1, maxDelayMs: 2 };

/** Starts a server and connects a client to it. */
export async function connectScripted(script: Script, options: ScriptedClientOptions = {}): Promise<ScriptedClient> {
  const server = await startScriptedServer(script);
  const { protocol = "grpc", clock = systemClock, ...behavior } = options;
  const transport = createNodeTransport({ baseUrl: server.url, protocol });
  const client = new CoordinationClient(transport, { retry: fastRetry, ...behavior }, clock);
  return {
    server,
    client,
    session: client.coordination("c", { agentId: "agent" }),
    [Symbol.asyncDispose]: async () => {
      await client.close();
      await server.idle();
      await server.stop();
    },
  };
}
