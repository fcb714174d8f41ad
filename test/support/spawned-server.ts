/** The built server as its users run it: through its bin, in a process of its own, on a port of its own. */
import { fileURLToPath } from "node:url";
import { findOwnPort } from "./own-port.js";
import { type ExitInfo, spawnProcess } from "./spawned-process.js";

const SERVER_BIN = fileURLToPath(new URL("../../server/bin/coordination-server.js", import.meta.url));
const LISTENING = /^listening on (https?:\/\/\S+:(\d+))$/m;

/** A running server process. `await using` stops it. */
export interface SpawnedServer extends AsyncDisposable {
  /** For example `http://127.0.0.1:40123`. */
  readonly url: string;
  readonly port: number;
  readonly pid: number;
  /** Settles when the process has ended. */
  readonly exited: Promise<ExitInfo>;
  /** What it has written so far; at most the last 1,048,576 characters. */
  stdout(): string;
  /** What it has written so far; at most the last 1,048,576 characters. */
  stderr(): string;
  /** Sends a signal, without waiting. */
  kill(signal: NodeJS.Signals): void;
  /** Sends SIGTERM and waits for the end; SIGKILL follows after 15 s. Safe to repeat. */
  stop(): Promise<ExitInfo>;
}

/**
 * Starts the built server and waits until it listens.
 *
 * @param args added to `--store memory:` and a port that stays free when the server ends; a flag given again wins
 * @param env added to the tests' environment; `undefined` removes a variable
 */
export async function spawnServer(
  args: readonly string[] = [],
  env: Readonly<Record<string, string | undefined>> = {},
): Promise<SpawnedServer> {
  const network = ["--port", String(await findOwnPort())];
  const child = await spawnProcess({ args: [SERVER_BIN, ...network, "--store", "memory:", ...args], env });
  try {
    const [, url = "", port = ""] = await child.waitForOutput(LISTENING);
    return {
      url,
      port: Number(port),
      pid: child.pid,
      exited: child.exited,
      stdout: child.stdout,
      stderr: child.stderr,
      kill: child.kill,
      stop: child.stop,
      [Symbol.asyncDispose]: child[Symbol.asyncDispose],
    };
  } catch (error) {
    await child.stop();
    throw error;
  }
}
