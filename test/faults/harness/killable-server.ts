import { fileURLToPath } from "node:url";
import { findOwnPort } from "../../support/own-port.js";
import type { SpawnedProcess } from "../../support/spawned-process.js";
import { spawnFaultProcess } from "./fault-process.js";
import type { FaultServers } from "./fault-servers.js";

/** How to run a server: the arguments of Node before the server's own. */
export type ServerEntry = readonly string[];

/** The built server, as its users run it. */
export const builtServer: ServerEntry = [
  fileURLToPath(new URL("../../../server/bin/coordination-server.js", import.meta.url)),
];

/** The server run from its sources with a bug planted in it; `name` is one of `plantedBugs`. */
export function plantedServer(name: string): ServerEntry {
  const entry = fileURLToPath(new URL("../planted/planted-server.ts", import.meta.url));
  return ["--import", import.meta.resolve("tsx"), entry, name];
}

/** A server on one port that is killed and started again, as often as one likes. */
export class KillableServer implements FaultServers, AsyncDisposable {
  readonly url: string;
  readonly urls: readonly string[];
  readonly #args: readonly string[];
  readonly #restartTimesMs: number[] = [];
  #process: SpawnedProcess | undefined;
  #starting: Promise<void>;
  #isEnded = false;
  #failure: string | undefined;

  private constructor(port: number, entry: ServerEntry, args: readonly string[]) {
    this.url = `http://127.0.0.1:${port}`;
    this.urls = [this.url];
    this.#args = [...entry, "--port", String(port), "--log-level", "warn", ...args];
    this.#starting = this.#start();
  }

  /** Starts a server on a free port and waits until it listens. */
  static async start(entry: ServerEntry, args: readonly string[]): Promise<KillableServer> {
    const server = new KillableServer(await findOwnPort(), entry, args);
    await server.whenUp();
    return server;
  }

  /** What went wrong with the process itself: it ended although nobody ended it. */
  get failure(): string | undefined {
    return this.#failure;
  }

  /** How long each start took until the server listened. */
  get startTimesMs(): readonly number[] {
    return this.#restartTimesMs;
  }

  /** Waits until the server listens. Rejects once it has failed or was ended. */
  async whenUp(): Promise<void> {
    await this.#starting;
    if (this.#failure !== undefined) throw new Error(this.#failure);
    if (this.#isEnded) throw new Error("the server was ended");
  }

  /** Kills the process as it is, and starts another one. */
  kill(): void {
    const process = this.#process;
    if (process === undefined || this.#isEnded) return;
    this.#process = undefined;
    process.kill("SIGKILL");
    this.#starting = process.exited.then(() => this.#start());
    // Whoever waits for the server learns that it did not start.
    this.#starting.catch(() => undefined);
  }

  /** Stops the process where it is, until `resume`. */
  pause(): void {
    this.#process?.kill("SIGSTOP");
  }

  resume(): void {
    this.#process?.kill("SIGCONT");
  }

  /** Ends the server as an operator does. */
  async [Symbol.asyncDispose](): Promise<void> {
    this.#isEnded = true;
    await this.#starting.catch(() => undefined);
    await this.#process?.stop();
  }

  async #start(): Promise<void> {
    if (this.#isEnded) return;
    const startMs = performance.now();
    const process = await spawnFaultProcess({ args: this.#args });
    this.#process = process;
    void process.exited.then(({ code, signal }) => this.#hasExited(process, `code ${code}, signal ${signal}`));
    await process.waitForOutput(/^listening on /m, 120_000);
    this.#restartTimesMs.push(performance.now() - startMs);
  }

  #hasExited(process: SpawnedProcess, how: string): void {
    if (this.#process !== process || this.#isEnded) return;
    this.#failure = `the server ended by itself: ${how}\n${process.stderr().slice(-2_000)}`;
  }
}
