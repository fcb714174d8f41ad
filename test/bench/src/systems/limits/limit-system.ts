import { readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { fileURLToPath } from "node:url";
import { createDataDirectory, startServerProcess } from "../../servers/server-process.js";
import type { BenchSystem } from "../bench-system.js";
import type { SystemClient } from "../system-client.js";
import { ConnectRelayClient } from "./connect-relay-client.js";
import { GrpcJsRelayClient } from "./grpc-js-relay-client.js";
import { Http2RelayClient } from "./http2-relay-client.js";
import { relayListening } from "./relay.js";

const require = createRequire(import.meta.url);

/** What one limit is made of. */
interface LimitOptions {
  readonly label: string;
  /** The program that is its server, beside this file. */
  readonly server: "http2" | "grpc-js" | "connect";
  /** Whose version is the limit's; Node's own when there is none. */
  readonly packageName?: string;
  readonly connect: (url: string) => SystemClient;
}

/** Bare node:http2, publishing on one bidirectional stream. */
export const http2Stream = limitSystem({
  label: "node:http2, stream",
  server: "http2",
  connect: (url) => new Http2RelayClient(url, "stream"),
});
/** Bare node:http2, publishing by unary calls. */
export const http2Unary = limitSystem({
  label: "node:http2, unary",
  server: "http2",
  connect: (url) => new Http2RelayClient(url, "unary"),
});
/** @grpc/grpc-js, publishing on one bidirectional stream. */
export const grpcJs = limitSystem({
  label: "grpc-js, stream",
  server: "grpc-js",
  packageName: "@grpc/grpc-js",
  connect: (url) => new GrpcJsRelayClient(url),
});
/** connect-node, publishing on one bidirectional stream. */
export const connectStream = limitSystem({
  label: "connect-node, stream",
  server: "connect",
  packageName: "@connectrpc/connect-node",
  connect: (url) => new ConnectRelayClient(url, "stream"),
});
/** connect-node, publishing by unary calls. */
export const connectUnary = limitSystem({
  label: "connect-node, unary",
  server: "connect",
  packageName: "@connectrpc/connect-node",
  connect: (url) => new ConnectRelayClient(url, "unary"),
});

function limitSystem({ label, server, packageName, connect }: LimitOptions): BenchSystem {
  const program = fileURLToPath(new URL(`servers/${server}-relay-server.js`, import.meta.url));
  return {
    label,
    group: "limit",
    acknowledges: "in memory, nothing decoded",
    order: "published",
    keepsLog: false,
    runsOnNode: true,
    unavailable: () => undefined,
    version: async () => (packageName === undefined ? process.versions.node : versionOf(packageName)),
    async startServer({ nodeArguments = [] } = {}) {
      return startServerProcess({
        command: process.execPath,
        args: [...nodeArguments, program],
        directory: await createDataDirectory(),
        removesDirectory: true,
        url: async (output) =>
          output.startsWith(relayListening) ? output.slice(relayListening.length).split("\n")[0] : undefined,
      });
    },
    connect,
  };
}

/** The version of an installed package, also of one that does not export its description. */
function versionOf(packageName: string): string {
  const directories = require.resolve.paths(packageName) ?? [];
  for (const directory of directories) {
    try {
      return JSON.parse(readFileSync(`${directory}/${packageName}/package.json`, "utf8")).version;
    } catch {}
  }
  return "unknown";
}
