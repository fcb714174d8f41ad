import { readFile } from "node:fs/promises";
import { fileURLToPath } from "node:url";
import { createDataDirectory, type ServerProcess, startServerProcess } from "../../servers/server-process.js";
import type { BenchSystem, StartOptions } from "../bench-system.js";
import { CoordinationSystemClient } from "./coordination-client.js";

const serverBin = fileURLToPath(new URL("../../../../../server/bin/coordination-server.js", import.meta.url));
const serverPackage = new URL("../../../../../server/package.json", import.meta.url);
const listening = /^listening on (http:\S+)$/m;
/** Retention above the number of messages of any run. */
const maxHistorySignals = "1000000000";

/** A store that a server can be started on. Disposing of it ends what was started for it. */
export interface OpenStore extends AsyncDisposable {
  /** As the server's flag takes it. */
  readonly url: string;
  /** Processes that work for it. */
  readonly pids: readonly number[];
}

/** One way to keep signals. */
export interface StoreVariant extends Pick<BenchSystem, "label" | "acknowledges" | "unavailable"> {
  /** Opens an empty store, or what is in the folder. */
  readonly openStore: (directory: string) => Promise<OpenStore>;
}

/** Makes a system of this server with one of its stores, used through the SDK. */
export function coordinationSystem({ openStore, ...variant }: StoreVariant): BenchSystem {
  return {
    ...variant,
    group: "coordination",
    order: "published",
    keepsLog: true,
    runsOnNode: true,
    version: async () => JSON.parse(await readFile(serverPackage, "utf8")).version,
    startServer: (options) => startCoordinationServer(openStore, options),
    connect: (url) => new CoordinationSystemClient(url),
  };
}

/** A store that is no more than a name. */
export function nameOnly(url: string): OpenStore {
  return { url, pids: [], [Symbol.asyncDispose]: async () => {} };
}

async function startCoordinationServer(
  openStore: StoreVariant["openStore"],
  { nodeArguments = [], directory }: StartOptions = {},
): Promise<ServerProcess> {
  const data = directory ?? (await createDataDirectory());
  const store = await openStore(data);
  const flags = ["--port", "0", "--store", store.url, "--max-history-signals", maxHistorySignals];
  const server = await startServerProcess({
    command: process.execPath,
    args: [...nodeArguments, serverBin, ...flags],
    directory: data,
    removesDirectory: directory === undefined,
    url: async (output) => output.match(listening)?.[1],
  });
  const dispose = async () => {
    await server.stop();
    await store[Symbol.asyncDispose]();
    await server[Symbol.asyncDispose]();
  };
  return { ...server, furtherPids: store.pids, [Symbol.asyncDispose]: dispose };
}
