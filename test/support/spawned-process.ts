/**
 * A child process under test. It is only ever signalled through its own handle, never by name, and the end of its output
 * is kept for the message of whatever goes wrong. A coverage run reaches it through the environment (NODE_V8_COVERAGE).
 */
import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import type { Readable } from "node:stream";

/** The most characters kept of each output stream: the end of it. */
const MAX_OUTPUT_CHARACTERS = 1_048_576;

/** How long {@link SpawnedProcess.stop} waits for SIGTERM to end the process before it kills it. */
const STOP_TIMEOUT_MS = 15_000;

/** How a process ended: `code` when it exited, `signal` when a signal ended it. */
export interface ExitInfo {
  readonly code: number | null;
  readonly signal: NodeJS.Signals | null;
}

/** What to run. */
export interface SpawnOptions {
  /** The program, by default the Node that runs the tests. */
  readonly command?: string;
  readonly args: readonly string[];
  /** Added to the tests' environment; `undefined` removes a variable. */
  readonly env?: Readonly<Record<string, string | undefined>>;
  /** The directory it runs in, by default the tests' own. */
  readonly cwd?: string;
  /** Whom it runs as, by default who runs the tests. */
  readonly owner?: { readonly uid: number; readonly gid: number } | undefined;
}

/** A running child process. */
export interface SpawnedProcess extends AsyncDisposable {
  readonly pid: number;
  /** Settles when the process has ended and its output is complete. */
  readonly exited: Promise<ExitInfo>;
  /** What it has written so far; at most the last 1,048,576 characters. */
  stdout(): string;
  /** What it has written so far; at most the last 1,048,576 characters. */
  stderr(): string;
  /** Waits for a match in the standard output; fails when the process ends first or after `timeoutMs` (default 30 s). */
  waitForOutput(pattern: RegExp, timeoutMs?: number): Promise<RegExpMatchArray>;
  /** Sends a signal, without waiting. */
  kill(signal: NodeJS.Signals): void;
  /** Sends SIGTERM and waits for the end; SIGKILL follows after 15 s. Safe to repeat. */
  stop(): Promise<ExitInfo>;
}

/** Starts a process. Fails when the program cannot be started. */
export async function spawnProcess(options: SpawnOptions): Promise<SpawnedProcess> {
  const child = spawn(options.command ?? process.execPath, [...options.args], {
    stdio: ["ignore", "pipe", "pipe"],
    env: childEnvironment(options.env ?? {}),
    ...(options.cwd === undefined ? {} : { cwd: options.cwd }),
    ...options.owner,
  });
  const stdout = collect(child.stdout);
  const stderr = collect(child.stderr);
  const exited = new Promise<ExitInfo>((resolve) => {
    child.once("close", (code, signal) => resolve({ code, signal }));
  });
  await once(child, "spawn");
  const stop = () => stopChild(child, exited);
  return {
    pid: child.pid ?? 0,
    exited,
    stdout: stdout.text,
    stderr: stderr.text,
    waitForOutput: (pattern, timeoutMs = 30_000) => waitForOutput({ pattern, timeoutMs, stdout, stderr, exited }),
    kill: (signal) => void child.kill(signal),
    stop,
    [Symbol.asyncDispose]: async () => void (await stop()),
  };
}

interface Output {
  readonly text: () => string;
  readonly stream: Readable;
}

function collect(stream: Readable): Output {
  let text = "";
  stream.setEncoding("utf8");
  stream.on("data", (chunk: string) => {
    text = (text + chunk).slice(-MAX_OUTPUT_CHARACTERS);
  });
  return { text: () => text, stream };
}

/** NODE_OPTIONS is for the test runner alone: a program under test runs as its users run it. */
function childEnvironment(env: Readonly<Record<string, string | undefined>>): NodeJS.ProcessEnv {
  return { ...process.env, NODE_OPTIONS: undefined, ...env };
}

async function waitForOutput(wait: {
  readonly pattern: RegExp;
  readonly timeoutMs: number;
  readonly stdout: Output;
  readonly stderr: Output;
  readonly exited: Promise<ExitInfo>;
}): Promise<RegExpMatchArray> {
  const { pattern, timeoutMs, stdout, stderr } = wait;
  let timer: NodeJS.Timeout | undefined;
  let look = () => {};
  try {
    return await new Promise<RegExpMatchArray>((resolve, reject) => {
      const fail = (what: string) =>
        reject(
          new Error(`${what} before its output matched ${pattern}; it wrote:\n${stdout.text()}\n${stderr.text()}`),
        );
      look = () => {
        const match = stdout.text().match(pattern);
        if (match !== null) resolve(match);
      };
      timer = setTimeout(() => fail(`the process ran for ${timeoutMs} ms`), timeoutMs);
      wait.exited.then(({ code, signal }) => fail(`the process ended (code ${code}, signal ${signal})`), reject);
      stdout.stream.on("data", look);
      look();
    });
  } finally {
    clearTimeout(timer);
    stdout.stream.off("data", look);
  }
}

async function stopChild(child: ChildProcess, exited: Promise<ExitInfo>): Promise<ExitInfo> {
  if (child.exitCode === null && child.signalCode === null) child.kill("SIGTERM");
  const timer = setTimeout(() => child.kill("SIGKILL"), STOP_TIMEOUT_MS);
  try {
    return await exited;
  } finally {
    clearTimeout(timer);
  }
}
