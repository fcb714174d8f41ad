import { fileURLToPath } from "node:url";
import { exitCodes } from "../workflow/process-end.js";
import type { AgentName } from "./agent-names.js";
import { ChildProgram } from "./child-program.js";

/** What an agent is started with. */
export interface AgentStart {
  readonly name: AgentName;
  readonly args: readonly string[];
  /** Further arguments of its first life only. */
  readonly firstArgs: readonly string[];
}

/** An agent's process, which can be killed and started again. */
export class AgentProcess implements AsyncDisposable {
  readonly #start: AgentStart;
  #program: ChildProgram;
  #isRestarting = false;

  constructor(start: AgentStart) {
    this.#start = start;
    this.#program = this.#spawn(start.firstArgs);
  }

  /** Kills the process as a crash would; it is started again as soon as it has ended. */
  restart(): void {
    this.#isRestarting = true;
    this.#program.kill();
  }

  /**
   * Waits until the agent has ended for good.
   * @returns why it failed; undefined when it did not. What the agent could still tell the others `isOutcome`.
   */
  async ended(): Promise<{ readonly message: string; readonly isOutcome: boolean } | undefined> {
    let { exitCode, signal } = await this.#program.ended;
    while (this.#isRestarting) {
      this.#isRestarting = false;
      this.#program = this.#spawn([]);
      ({ exitCode, signal } = await this.#program.ended);
    }
    if (exitCode === 0) return undefined;
    const how = signal === null ? `ended with code ${exitCode}` : `was ended by ${signal}`;
    const message = this.#program.errorText || `${this.#start.name}: ${how}`;
    return { message, isOutcome: exitCode === exitCodes.completedWithError };
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#isRestarting = false;
    await this.#program[Symbol.asyncDispose]();
  }

  #spawn(more: readonly string[]): ChildProgram {
    const { name, args } = this.#start;
    return new ChildProgram(fileURLToPath(new URL(`../${name}.js`, import.meta.url)), [...args, ...more]);
  }
}
