import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtemp, rm } from "node:fs/promises";
import { connect } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Readable } from "node:stream";

/** A server under measurement, in a process of its own. Disposing of it stops it and removes its data. */
export interface ServerProcess extends AsyncDisposable {
  readonly pid: number;
  /** Processes that work for it and are not its children. */
  readonly furtherPids: readonly number[];
  /** Where its clients connect, for example `http://127.0.0.1:40123`. */
  readonly url: string;
  /** Its data folder. */
  readonly directory: string;
  /** Asks it to end and waits; after a while it is killed. Its data stays. */
  stop(signal?: NodeJS.Signals): Promise<void>;
  /** The end of what it has written. */
  output(): string;
}

/** How to start a server. */
export interface ServerCommand {
  readonly command: string;
  readonly args: readonly string[];
  /** Its data folder, empty unless the server is started again. */
  readonly directory: string;
  /** How it is known that it serves, and where. Answers undefined as long as it does not. */
  readonly url: (output: string) => Promise<string | undefined>;
  /** Whether the data folder goes with the process. */
  readonly removesDirectory: boolean;
  /** Who runs it; default: who runs the bench. */
  readonly owner?: { readonly uid: number; readonly gid: number } | undefined;
  /** What asks it to end. Default SIGTERM. */
  readonly stopSignal?: NodeJS.Signals;
}

const startTimeoutMs = 30_000;
const lookIntervalMs = 10;
/** How long a server may take to end before it is killed. */
const stopTimeoutMs = 10_000;
const keptCharacters = 65_536;

/** Makes an empty data folder. */
export function createDataDirectory(): Promise<string> {
  return mkdtemp(join(tmpdir(), "coordination-bench-"));
}

/** Starts a server and waits until it serves. */
export async function startServerProcess(options: ServerCommand): Promise<ServerProcess> {
  const child = spawn(options.command, [...options.args], {
    cwd: options.directory,
    stdio: ["ignore", "pipe", "pipe"],
    ...options.owner,
  });
  let output = "";
  for (const stream of [child.stdout, child.stderr] satisfies Readable[]) {
    stream.setEncoding("utf8");
    stream.on("data", (chunk: string) => {
      output = (output + chunk).slice(-keptCharacters);
    });
  }
  const ended = new Promise<string>((resolve) => {
    child.once("error", (error) => resolve(error.message));
    child.once("close", (code, signal) => resolve(`code ${code}, signal ${signal}`));
  });
  const stop = async (signal: NodeJS.Signals = options.stopSignal ?? "SIGTERM") => {
    if (child.exitCode === null && child.signalCode === null) child.kill(signal);
    const timer = setTimeout(() => child.kill("SIGKILL"), stopTimeoutMs);
    await ended;
    clearTimeout(timer);
  };
  const dispose = async () => {
    await stop();
    if (options.removesDirectory) await rm(options.directory, { recursive: true, force: true });
  };
  try {
    const url = await untilServing(options, { ended, output: () => output });
    const pid = child.pid ?? 0;
    const { directory } = options;
    return { pid, furtherPids: [], url, directory, stop, output: () => output, [Symbol.asyncDispose]: dispose };
  } catch (error) {
    await dispose();
    throw error;
  }
}

interface StartingServer {
  readonly ended: Promise<string>;
  readonly output: () => string;
}

async function untilServing(options: ServerCommand, server: StartingServer): Promise<string> {
  const deadlineMs = performance.now() + startTimeoutMs;
  let end: string | undefined;
  server.ended.then((how) => {
    end = how;
  });
  for (;;) {
    const url = await options.url(server.output());
    if (url !== undefined) return url;
    if (end !== undefined) throw new Error(`${options.command} ended (${end}); it wrote:\n${server.output()}`);
    if (performance.now() > deadlineMs) {
      throw new Error(`${options.command} does not serve after ${startTimeoutMs} ms; it wrote:\n${server.output()}`);
    }
    await new Promise((resolve) => setTimeout(resolve, lookIntervalMs));
  }
}

/** Finds out whether a loopback port accepts connections. */
export async function isListening(port: number): Promise<boolean> {
  const socket = connect({ host: "127.0.0.1", port });
  try {
    await once(socket, "connect");
    return true;
  } catch {
    return false;
  } finally {
    socket.destroy();
  }
}
