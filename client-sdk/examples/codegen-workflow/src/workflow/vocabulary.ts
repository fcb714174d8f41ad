/** The words that the agents of the workflow agree on. All else they learn from signals. */
import { definitionReferenceFrom } from "../contract/schema-references.js";

/** What an agent can do: its capability in `AgentInitialized`, by which the others find it whatever its id. */
export const capabilities = {
  parsing: "contract-parsing",
  models: "model-generation",
  validators: "validator-generation",
  validation: "payload-validation",
} as const;

export type Capability = (typeof capabilities)[keyof typeof capabilities];

/** Kinds of dependencies in `DependencyResolved`. */
export const dependencyTypes = {
  /** The contract of an event type: its schema, and the payloads that are there for it. */
  contract: "contract",
  /** Payloads that no contract is for. */
  rejectedPayloads: "rejected-payloads",
  /** The TypeScript types of an event type. */
  model: "model",
  /** The validator of an event type, or of one variant of it. */
  validator: "validator",
} as const;

/** Kinds of messages in `InterAgentMessage`. */
export const messageTypes = {
  /** "Make the validator of this event type, or of this variant of it." Requires a response. */
  validatorRequest: "validator-request",
  /** The answer: where the validator is, or why there is none. */
  validatorResponse: "validator-response",
  /** "Nothing can be generated of this contract." */
  generationFailed: "generation-failed",
  /** "I was given this before, or one of my kind was, and it did not get done." */
  redelivered: "redelivered",
  /** "The wait for my turn was refused, so I go first." */
  deadlockRefused: "deadlock-refused",
} as const;

/** The artifact of a completed validation. One that was given up has none. */
export const reportFile = "report.json";

/** Metadata of the one signal that tells what became of a contract, so that it can be waited for whatever became of it. */
export const outcomeKey = "outcome-of";

/** The dependency id of a variant's validator. */
export function variantDependencyId(eventType: string, variantPointer: string): string {
  return `${eventType}${variantPointer}`;
}

/** The name of the variant that a validator's dependency id stands for; undefined when it stands for a whole event type. */
export function variantOfDependency(dependencyId: string): string | undefined {
  const pointerStart = dependencyId.lastIndexOf("#/");
  return pointerStart < 0 ? undefined : definitionReferenceFrom(dependencyId.slice(pointerStart))?.name;
}
