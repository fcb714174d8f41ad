/** A real HTTP server whose answers a test scripts: it can refuse, stall, lie, cut its connections and start again. */
import { once } from "node:events";
import * as http from "node:http";
import * as http2 from "node:http2";
import type { AddressInfo, Socket } from "node:net";
import { Code, ConnectError, type HandlerContext, type ServiceImpl } from "@connectrpc/connect";
import { connectNodeAdapter } from "@connectrpc/connect-node";
import { AgentRegistryService } from "@coordination-signals/proto/coordination/v1/agent_registry_service";
import { CoordinationService } from "@coordination-signals/proto/coordination/v1/coordination_service";
import { SignalService } from "@coordination-signals/proto/coordination/v1/signal_service";
import { findOwnPort } from "../../../support/own-port.js";

// The adapter prints what it cannot write to a client that has left, which these tests' clients do.
const print = console.error;
console.error = (...values: unknown[]) => {
  if (!String(values[0]).startsWith("handler for rpc ")) print(...values);
};

type SignalsImpl = ServiceImpl<typeof SignalService>;

/**
 * What a test scripts: any of the RPCs; the others answer UNIMPLEMENTED. A stream of batches is answered as the batches
 * alone would be, one after the other, unless it is scripted too, or undefined as on a server that is older than such streams.
 */
export interface Script {
  readonly signals?: Partial<Omit<SignalsImpl, "streamSignals">> & {
    readonly streamSignals?: SignalsImpl["streamSignals"] | undefined;
  };
  readonly registry?: Partial<ServiceImpl<typeof AgentRegistryService>>;
  readonly coordinations?: Partial<ServiceImpl<typeof CoordinationService>>;
}

/** A running scripted server. `await using` stops it. */
export interface ScriptedServer extends AsyncDisposable {
  readonly url: string;
  readonly port: number;
  /** Waits until no connection is open: whoever was connected has let go. */
  idle(): Promise<void>;
  /** Resets every connection, as a crash or a cut cable with a reset does. */
  cut(): void;
  /** Cuts and stops listening. */
  stop(): Promise<void>;
}

/** Where and how to listen. */
export interface ListenOptions {
  /** Default: one that stays free when the server stops. */
  readonly port?: number;
  /** HTTP/1.1, as for `fetch`; default HTTP/2 without TLS. */
  readonly http1?: boolean;
}

/** Starts a server that answers as scripted. */
export async function startScriptedServer(script: Script, options: ListenOptions = {}): Promise<ScriptedServer> {
  const handler = connectNodeAdapter({
    routes: (router) => {
      router.service(SignalService, withStream(script.signals ?? {}));
      router.service(AgentRegistryService, script.registry ?? {});
      router.service(CoordinationService, script.coordinations ?? {});
    },
  });
  const server = options.http1 === true ? http.createServer(handler) : http2.createServer(handler);
  const sockets = new Set<Socket>();
  const waiting: (() => void)[] = [];
  server.on("connection", (socket: Socket) => {
    sockets.add(socket);
    socket.once("close", () => {
      sockets.delete(socket);
      if (sockets.size === 0) for (const wake of waiting.splice(0)) wake();
    });
  });
  server.listen(options.port ?? (await findOwnPort()), "127.0.0.1");
  await once(server, "listening");
  const { port } = server.address() as AddressInfo;
  const cut = () => {
    for (const socket of sockets) socket.resetAndDestroy();
  };
  const stop = async () => {
    if (!server.listening) return;
    const closed = once(server, "close");
    server.close();
    cut();
    await closed;
  };
  return {
    url: `http://127.0.0.1:${port}`,
    port,
    idle: async () => {
      if (sockets.size > 0) await new Promise<void>((resolve) => waiting.push(resolve));
    },
    cut,
    stop,
    [Symbol.asyncDispose]: stop,
  };
}

function withStream(signals: NonNullable<Script["signals"]>): Partial<SignalsImpl> {
  const { streamSignals, ...others } = signals;
  if (streamSignals !== undefined) return { ...others, streamSignals };
  const { batchSendSignals } = others;
  if ("streamSignals" in signals || batchSendSignals === undefined) return others;
  return {
    ...others,
    async *streamSignals(requests, context) {
      for await (const { batch } of requests) {
        if (batch !== undefined) yield { batch: await batchSendSignals(batch, context) };
      }
    },
  };
}

/** Waits until the client has gone or cancelled the call. */
export async function clientLeft(context: HandlerContext): Promise<void> {
  if (!context.signal.aborted) await once(context.signal, "abort");
}

/** Never answers: fails once the client has gone, so that nothing is left behind. */
export async function neverAnswer(context: HandlerContext): Promise<never> {
  await clientLeft(context);
  throw new ConnectError("nobody waits for the answer", Code.Canceled);
}
