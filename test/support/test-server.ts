/** The server in the tests' own process: everything of it, on a port of its own, with a log that is kept. */
import { parseCommandLine } from "../../server/src/config.js";
import { createLogger } from "../../server/src/logger.js";
import { startServer } from "../../server/src/server.js";
import type { SignalStore } from "../../server/src/store/signal-store.js";
import { eventually } from "./eventually.js";
import { findOwnPort } from "./own-port.js";
import { openResources } from "./scrape-metrics.js";

/** A line of the log. */
export interface LogLine {
  readonly level: number;
  readonly msg: string;
  readonly [field: string]: unknown;
}

/** A server under test. `await using` stops it, and fails when it still runs and a client's call or connection is left. */
export interface TestServer extends AsyncDisposable {
  readonly url: string;
  readonly log: readonly LogLine[];
  /** What would have ended the process. */
  readonly fatalErrors: readonly unknown[];
  /** Waits until no client has anything open. */
  untilUnused(): Promise<void>;
  /** Stops it, whatever is open. Safe to repeat. */
  stop(): Promise<void>;
}

/** Starts a server with a memory store, or the one given; flags given here come after that and win. */
export async function startTestServer(flags: readonly string[] = [], store?: SignalStore): Promise<TestServer> {
  const args = ["--port", String(await findOwnPort()), "--store", "memory:", "--shutdown-grace", "1s", ...flags];
  const commandLine = parseCommandLine({ args, env: {}, version: "0.0.0-test" });
  if (commandLine.kind !== "serve") throw new Error(`not a command line that serves: ${args.join(" ")}`);
  const log: LogLine[] = [];
  const fatalErrors: unknown[] = [];
  const logger = createLogger(commandLine.config, { write: (line) => void log.push(JSON.parse(line)) });
  const server = await startServer(commandLine.config, {
    logger,
    onFatal: (error) => void fatalErrors.push(error),
    ...(store !== undefined && { openStore: async () => store }),
  });
  const untilUnused = () => eventually(() => checkUnused(server.url));
  let isStopped = false;
  const stop = () => {
    isStopped = true;
    return server.stop();
  };
  return {
    url: server.url,
    log,
    fatalErrors,
    untilUnused,
    stop,
    [Symbol.asyncDispose]: async () => {
      try {
        if (!isStopped) await untilUnused();
      } finally {
        await stop();
      }
    },
  };
}

async function checkUnused(url: string): Promise<void> {
  const { subscriptions, calls, connections } = await openResources(url);
  if (subscriptions + calls + connections === 0) return;
  throw new Error(`left open: ${subscriptions} subscriptions, ${calls} calls, ${connections} connections`);
}
