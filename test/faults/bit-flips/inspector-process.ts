import { type ChildProcess, fork } from "node:child_process";
import { fileURLToPath } from "node:url";
import type { FlipVerdict, InspectorTask } from "./flip.js";

const inspectorProgram = fileURLToPath(new URL("inspector.ts", import.meta.url));
const inspectorTimeoutMs = 60_000;

/** Looks at damaged stores in a process that is replaced when one of them kills it. */
export class InspectorProcess {
  #child: ChildProcess | undefined;

  async look(task: InspectorTask): Promise<FlipVerdict> {
    const child = this.#child ?? this.#start();
    let timer: NodeJS.Timeout | undefined;
    const verdict = await new Promise<FlipVerdict>((resolve) => {
      child.once("message", (message) => resolve(message as FlipVerdict));
      child.once("exit", (code, signal) => resolve({ outcome: "crashed", detail: `code ${code}, signal ${signal}` }));
      timer = setTimeout(
        () => resolve({ outcome: "hung", detail: `for ${inspectorTimeoutMs} ms` }),
        inspectorTimeoutMs,
      );
      child.send(task);
    });
    clearTimeout(timer);
    child.removeAllListeners("message");
    child.removeAllListeners("exit");
    if (verdict.outcome === "crashed" || verdict.outcome === "hung") this.end();
    return verdict;
  }

  end(): void {
    this.#child?.kill("SIGKILL");
    this.#child = undefined;
  }

  #start(): ChildProcess {
    // What native code prints about damage is its own affair.
    const child = fork(inspectorProgram, { execArgv: ["--import", import.meta.resolve("tsx")], silent: true });
    child.stdout?.resume();
    child.stderr?.resume();
    this.#child = child;
    return child;
  }
}
