import { type ChildProcess, spawn } from "node:child_process";
import { createInterface } from "node:readline";

/** Lines kept of what a program wrote to its standard error, for the message when it fails. */
const keptErrorLines = 20;
/** How long a program may take to stop before it is killed, in milliseconds: the server drains for up to ten seconds. */
const stopTimeoutMs = 12_000;

/** How a program ended. */
export interface ProgramEnd {
  readonly exitCode: number | null;
  readonly signal: NodeJS.Signals | null;
}

/** A program of Node.js that runs as a process of its own. */
export class ChildProgram implements AsyncDisposable {
  readonly #process: ChildProcess;
  readonly #errorLines: string[] = [];
  /** Settles when the process has ended and its output is complete. Rejects when it could not be started. */
  readonly ended: Promise<ProgramEnd>;

  /** Starts the program. It is told by a closed channel when this process ends, however it ends. */
  constructor(file: string, args: readonly string[], onLine: (line: string) => void = () => {}) {
    this.#process = spawn(process.execPath, [file, ...args], { stdio: ["ignore", "pipe", "pipe", "ipc"] });
    this.ended = new Promise((resolve, reject) => {
      this.#process.once("error", reject);
      this.#process.once("close", (exitCode, signal) => resolve({ exitCode, signal }));
    });
    // Whoever does not wait for the end must not be surprised by it; those who wait still see the rejection.
    this.ended.catch(() => {});
    this.#readLines("stdout", onLine);
    this.#readLines("stderr", (line) => {
      this.#errorLines.push(line);
      if (this.#errorLines.length > keptErrorLines) this.#errorLines.shift();
    });
  }

  /** The last lines that it wrote to its standard error. */
  get errorText(): string {
    return this.#errorLines.join("\n");
  }

  /** Ends it at once, as a crash would. */
  kill(): void {
    this.#process.kill("SIGKILL");
  }

  /** Tells it to stop, kills it when it does not, and waits for its end. */
  async [Symbol.asyncDispose](): Promise<void> {
    this.#process.kill("SIGTERM");
    const timer = setTimeout(() => this.kill(), stopTimeoutMs);
    await this.ended.catch(() => undefined);
    clearTimeout(timer);
  }

  #readLines(name: "stdout" | "stderr", onLine: (line: string) => void): void {
    const input = this.#process[name];
    if (input !== null) createInterface({ input }).on("line", onLine);
  }
}
