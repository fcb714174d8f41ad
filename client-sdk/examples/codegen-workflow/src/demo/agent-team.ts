import { type CoordinationSignal, isOfTypes } from "@coordination-signals/client";
import { type AgentName, agentNames } from "./agent-names.js";
import { AgentProcess } from "./agent-process.js";
import { artifactsBeforeKill, KillMoment } from "./kill-moment.js";

/** How to start the agents, and when. */
export interface AgentTeamOptions {
  /** The agents one after the other, each when the one before is ready; undefined for all at once. */
  readonly order: readonly AgentName[] | undefined;
  /** The agent that is killed in the middle of its work and started again. */
  readonly kill: AgentName | undefined;
  /** How many contracts there will be. */
  readonly eventTypes: number;
  /** The command line of an agent. */
  argsOf(name: AgentName): readonly string[];
  /** Called with what happens to processes, for people. */
  onNote(text: string): void;
  /** Called once: when all agents have completed and ended, or when one has failed so that the others cannot go on. */
  onFinished(): void;
}

/** The processes of the four agents. It learns from signals how far they are. */
export class AgentTeam implements AsyncDisposable {
  readonly #options: AgentTeamOptions;
  readonly #agents = new Map<AgentName, AgentProcess>();
  readonly #toStart: AgentName[];
  readonly #completed = new Set<string>();
  readonly #killMoment: KillMoment | undefined;
  readonly #failures: string[] = [];
  #ended = 0;
  #isFinished = false;

  constructor(options: AgentTeamOptions) {
    this.#options = options;
    this.#toStart = [...(options.order ?? agentNames)];
    this.#killMoment = options.kill === undefined ? undefined : new KillMoment(options.kill, options.eventTypes);
  }

  /** What failed, for people; empty while nothing did. */
  get failures(): readonly string[] {
    return this.#failures;
  }

  /** The agents that have not completed. */
  get uncompleted(): readonly AgentName[] {
    return agentNames.filter((name) => !this.#completed.has(name));
  }

  /** Starts the agents, or the first of them when they have an order. */
  start(): void {
    this.#startNext();
    while (this.#options.order === undefined && this.#toStart.length > 0) this.#startNext();
  }

  /** Takes the next signal of the coordination. */
  react(signal: CoordinationSignal): void {
    if (isOfTypes(signal, ["agentInitialized"]) && signal.senderAgentId === [...this.#agents.keys()].at(-1)) {
      this.#startNext();
    }
    if (isOfTypes(signal, ["agentCompleted"])) this.#completed.add(signal.senderAgentId);
    if (this.#killMoment?.hasCome(signal) === true) this.#kill();
    this.#finishWhenDone();
  }

  /** Stops all agents and waits for their ends. */
  async [Symbol.asyncDispose](): Promise<void> {
    this.#isFinished = true;
    await Promise.all([...this.#agents.values()].map((agent) => agent[Symbol.asyncDispose]()));
  }

  #startNext(): void {
    const name = this.#toStart.shift();
    if (name === undefined || this.#isFinished) return;
    const agent = new AgentProcess({ name, args: this.#options.argsOf(name), firstArgs: this.#killArgs(name) });
    this.#agents.set(name, agent);
    agent.ended().then(
      (failure) => this.#onEnded(failure?.message, failure?.isOutcome ?? true),
      (error: Error) => this.#onEnded(`${name} could not be started: ${error.message}`, false),
    );
  }

  /** Where it is killed, a generator holds what it has not acknowledged; the other agents know no such place. */
  #killArgs(name: AgentName): readonly string[] {
    const { kill, eventTypes } = this.#options;
    return name === kill ? ["--hang-at", String(artifactsBeforeKill(name, eventTypes))] : [];
  }

  #kill(): void {
    const name = this.#options.kill;
    if (name === undefined) return;
    this.#options.onNote(`killing ${name} in the middle of its work, and starting it again`);
    this.#agents.get(name)?.restart();
  }

  #onEnded(failure: string | undefined, othersCanGoOn: boolean): void {
    this.#ended += 1;
    // What ends because it was told to is no failure.
    if (failure !== undefined && !this.#isFinished) this.#failures.push(failure);
    if (!othersCanGoOn) this.#finish();
    this.#finishWhenDone();
  }

  /** An agent ends as soon as its completion is stored, which may be before it is seen here. */
  #finishWhenDone(): void {
    if (this.#ended === agentNames.length && this.uncompleted.length === 0) this.#finish();
  }

  #finish(): void {
    if (this.#isFinished) return;
    this.#isFinished = true;
    this.#options.onFinished();
  }
}
