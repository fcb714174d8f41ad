import type { InterAgentMessageInit } from "@coordination-signals/client";
import { definitionReferenceFrom } from "../contract/schema-references.js";
import type { JsonObject } from "../json-value.js";
import { maxWaitMs } from "../limits.js";
import {
  type ResolvedContract,
  requestFrom,
  responsePayload,
  type ValidatorRequest,
  type ValidatorResponse,
} from "../workflow/resolution.js";
import { readContracts } from "../workflow/resolved.js";
import { capabilities, dependencyTypes, messageTypes, reportFile } from "../workflow/vocabulary.js";
import type { AgentContext, WorkflowAgent } from "../workflow/workflow-agent.js";
import { GenerationError, generateFromContracts } from "./contract-generation.js";
import { ValidatorWriter, validatorPath } from "./validator-writer.js";

/**
 * Writes the validator of each contract as it resolves, and then, until the payloads are validated, answers requests for more: the
 * validator of one variant of a contract, or of a contract that others found to have none.
 */
export function createValidatorGenerator(context: AgentContext): WorkflowAgent {
  const validators = new ValidatorWriter(context);
  const generation = {
    product: dependencyTypes.validator,
    pathOf: validatorPath,
    generate: validators.ofContract.bind(validators),
  };
  return {
    capability: capabilities.validators,
    work: () => generateFromContracts(context, generation),
    serve: () => answerRequests(context, validators),
  };
}

/** The signal that a report exists. A validation that was given up has made none, and may be taken up again. */
const reportExists = {
  signal: {
    types: ["agentCompleted"],
    expression: `"${reportFile}" in signal.agent_completed.artifacts_generated`,
  },
} as const;

async function answerRequests(context: AgentContext, validators: ValidatorWriter): Promise<void> {
  const { session, signal } = context;
  const contracts = await readContracts(context);
  // By a name: what is asked while this agent is away is kept for it, and what it was at when it died comes again.
  await using requests = session.onRequest(({ event }) => answer(event.value.payload), {
    subscription: "validator-requests",
    messageTypes: [messageTypes.validatorRequest],
    from: "earliest",
    signal,
  });
  const answer = async (payload: JsonObject = {}): Promise<InterAgentMessageInit> => {
    const request = requestFrom(payload);
    const contract = contracts.find(({ eventType }) => eventType === request.eventType);
    const response = await responseTo(validators, request, contract);
    const what = definitionReferenceFrom(request.variantPointer ?? "")?.name ?? request.eventType;
    return {
      messageType: messageTypes.validatorResponse,
      message: "error" in response ? `there is no validator for ${what}` : `validator for ${what}`,
      payload: responsePayload(response),
    };
  };
  const listenerEnd = requests.finished.then(() => Promise.reject(new Error("the coordination was closed")));
  // The requests that it answers meanwhile are what the validation waits for: a wait that held it up would be a deadlock.
  const wait = { timeoutMs: maxWaitMs, independent: true, signal };
  await Promise.race([session.waitFor(reportExists, wait), listenerEnd]);
}

async function responseTo(
  validators: ValidatorWriter,
  { eventType, variantPointer }: ValidatorRequest,
  contract: ResolvedContract | undefined,
): Promise<ValidatorResponse> {
  if (contract === undefined) return { error: `no contract of event type ${JSON.stringify(eventType)} was resolved` };
  try {
    const isWhole = variantPointer === undefined;
    return {
      validator: await (isWhole ? validators.ofContract(contract) : validators.ofVariant(contract, variantPointer)),
    };
  } catch (error) {
    if (error instanceof GenerationError) return { error: error.message };
    throw error;
  }
}
