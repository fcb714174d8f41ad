import { DependencyFailedError, isOfTypes } from "@coordination-signals/client";
import { digestOf } from "../artifacts/artifact-folder.js";
import type { ContractVariant } from "../contract/contract-variant.js";
import { maxWaitMs } from "../limits.js";
import { agentWith, signalAt } from "../workflow/agent-facts.js";
import {
  generatedFrom,
  type ResolvedContract,
  requestPayload,
  responseFrom,
  type ValidatorResponse,
} from "../workflow/resolution.js";
import { dataOf } from "../workflow/resolved.js";
import { capabilities, dependencyTypes, messageTypes } from "../workflow/vocabulary.js";
import type { AgentContext } from "../workflow/workflow-agent.js";

/** Gets validators from the agent that generates them: waits for those that come by themselves, and asks for the others. */
export class ValidatorSource {
  readonly #context: AgentContext;
  readonly #responseTimeoutMs: number;
  readonly #generatorId: string;

  private constructor(context: AgentContext, responseTimeoutMs: number, generatorId: string) {
    this.#context = context;
    this.#responseTimeoutMs = responseTimeoutMs;
    this.#generatorId = generatorId;
  }

  /** Waits until somebody generates validators. */
  static async find(context: AgentContext, responseTimeoutMs: number): Promise<ValidatorSource> {
    return new ValidatorSource(context, responseTimeoutMs, await agentWith(context, capabilities.validators));
  }

  /** Waits for the validator of a contract, and asks for it when the generator has completed without it. */
  async ofContract(contract: ResolvedContract): Promise<ValidatorResponse> {
    const sequence = await this.#resolvedAt(contract);
    if (sequence !== undefined) {
      const resolved = await signalAt(this.#context, sequence);
      const validator = isOfTypes(resolved, ["dependencyResolved"]) ? dataOf(resolved, generatedFrom) : undefined;
      // Else it is of the contract that this event type had before.
      if (validator?.contractSha256 === contract.sha256) return { validator };
    }
    return this.#ask(contract, undefined);
  }

  /** Asks for the validator of one variant of a contract. */
  ofVariant(contract: ResolvedContract, variant: ContractVariant): Promise<ValidatorResponse> {
    return this.#ask(contract, variant);
  }

  /** The signal that resolved a contract's validator; undefined when the generator has completed, well or not, without it. */
  async #resolvedAt({ eventType }: ResolvedContract): Promise<bigint | undefined> {
    const { session, signal } = this.#context;
    const generatorId = this.#generatorId;
    const validator = {
      dependencyType: dependencyTypes.validator,
      dependencyId: eventType,
      expectedFrom: [generatorId],
    };
    try {
      const wait = { mode: "any", timeoutMs: maxWaitMs, signal } as const;
      const { sequences } = await session.waitFor([validator, { agentId: generatorId }], wait);
      return sequences[0];
    } catch (error) {
      if (error instanceof DependencyFailedError) return undefined;
      throw error;
    }
  }

  /** Asked again by a runner that was started again, a question gets the answer of the first time. */
  async #ask(contract: ResolvedContract, variant: ContractVariant | undefined): Promise<ValidatorResponse> {
    const { session, signal } = this.#context;
    const payload = requestPayload({ eventType: contract.eventType, variantPointer: variant?.pointer });
    const { reply } = await session.request(
      {
        messageType: messageTypes.validatorRequest,
        message: `need validator for ${variant?.name ?? contract.eventType}`,
        payload,
      },
      {
        recipients: [this.#generatorId],
        timeoutMs: this.#responseTimeoutMs,
        requestId: this.#requestIdOf(contract, variant),
        signal,
      },
    );
    return responseFrom(reply.event.case === "interAgentMessage" ? (reply.event.value.payload ?? {}) : {});
  }

  /** The timeout is part of the request: a runner that was started again with another one asks anew. */
  #requestIdOf({ artifactName, sha256 }: ResolvedContract, variant: ContractVariant | undefined): string {
    const what = variant === undefined ? "" : `#${digestOf(variant.pointer).slice(0, 12)}`;
    return `need:${artifactName}${what}:${sha256.slice(0, 12)}:${this.#responseTimeoutMs}`;
  }
}
