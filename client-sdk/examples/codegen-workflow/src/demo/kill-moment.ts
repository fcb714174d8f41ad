import { type CoordinationSignal, isOfTypes, type TypedSignal } from "@coordination-signals/client";
import { dependencyTypes, variantOfDependency } from "../workflow/vocabulary.js";
import type { AgentName } from "./agent-names.js";

/** Artifacts after which a generator counts as being in the middle of its work. */
const maxArtifactsBeforeKill = 5;

/** How many artifacts an agent has made when it is in the middle of its work. */
export function artifactsBeforeKill(agent: AgentName, eventTypes: number): number {
  return agent === "contract-parser" ? 1 : Math.min(maxArtifactsBeforeKill, Math.ceil(eventTypes / 2));
}

/**
 * Tells from the signals when an agent is in the middle of its work: a generator when it has made some of what it has to make,
 * the parser with its first contract, the test runner when it is there and has something to validate.
 */
export class KillMoment {
  readonly #agent: AgentName;
  readonly #artifactsNeeded: number;
  #artifacts = 0;
  #isReady = false;
  #isOver = false;

  constructor(agent: AgentName, eventTypes: number) {
    this.#agent = agent;
    this.#artifactsNeeded = artifactsBeforeKill(agent, eventTypes);
  }

  /** Takes the next signal; true once, when the moment has come. */
  hasCome(signal: CoordinationSignal): boolean {
    if (this.#isOver) return false;
    if (signal.senderAgentId === this.#agent && isOfTypes(signal, ["agentInitialized"])) this.#isReady = true;
    if (isOfTypes(signal, ["dependencyResolved"]) && this.#counts(signal)) this.#artifacts += 1;
    this.#isOver = this.#isReady && this.#artifacts >= this.#artifactsNeeded;
    return this.#isOver;
  }

  #counts({ senderAgentId, event }: TypedSignal<"dependencyResolved">): boolean {
    const { dependencyType, dependencyId } = event.value;
    if (this.#agent === "test-runner") return dependencyType === dependencyTypes.validator;
    return senderAgentId === this.#agent && variantOfDependency(dependencyId) === undefined;
  }
}
