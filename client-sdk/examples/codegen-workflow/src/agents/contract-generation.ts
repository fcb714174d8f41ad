import { AckExpiredError, type DeliveredSignal } from "@coordination-signals/client";
import { maxContractsAtHand, maxRejectionLength, maxWaitConditions, maxWaitMs } from "../limits.js";
import { agentWith } from "../workflow/agent-facts.js";
import { contractFrom, type GeneratedArtifact, generatedData, type ResolvedContract } from "../workflow/resolution.js";
import { dataOf, readContracts, resolutionsOfType } from "../workflow/resolved.js";
import { capabilities, dependencyTypes, messageTypes, outcomeKey } from "../workflow/vocabulary.js";
import type { AgentContext, AgentOutcome } from "../workflow/workflow-agent.js";

/** How to generate one thing of each contract. */
export interface ContractGeneration {
  /** What is generated: a kind of dependency. */
  readonly product: string;
  /** The file that is made of a contract. */
  pathOf(contract: ResolvedContract): string;
  /** Writes the file. A GenerationError concerns this contract only. */
  generate(contract: ResolvedContract): Promise<GeneratedArtifact>;
}

/**
 * The part that both generators share: works on the contracts as they resolve, one after the other, and is done when the parser has
 * completed and every contract has its outcome. The server remembers what is done: a contract is acknowledged when its outcome is
 * signalled, and what was at hand when this agent died is delivered again. One of which nothing can be generated is named and
 * becomes a dead letter, and does not stop the others.
 */
export async function generateFromContracts(
  context: AgentContext,
  generation: ContractGeneration,
): Promise<AgentOutcome> {
  const done = new AbortController();
  const working = { ...context, signal: AbortSignal.any([context.signal, done.signal]) };
  try {
    return await Promise.race([workOnContracts(working, generation), outcomeOfAll(working, generation)]);
  } finally {
    done.abort();
  }
}

async function workOnContracts(context: AgentContext, generation: ContractGeneration): Promise<never> {
  const { session, signal, hangAt } = context;
  let made = 0;
  await using worker = session.work(
    {
      ...resolutionsOfType(dependencyTypes.contract),
      subscription: `${generation.product}s`,
      from: "earliest",
      ack: { maxOutstanding: maxContractsAtHand },
      maxConcurrent: 1,
      signal,
      onError: (error) => {
        // One that is somebody else's by now is done there. Whatever else fails is more than one contract's misfortune.
        if (!(error instanceof AckExpiredError)) throw error;
      },
    },
    async (resolved) => {
      // Only what was made counts: that is what others see.
      if (await settle(context, generation, resolved)) made += 1;
      if (made === hangAt) await untilAborted(signal);
    },
  );
  await worker.finished;
  signal.throwIfAborted();
  throw new Error("the coordination was closed before the work was done");
}

/** Tells what became of a contract, once, for its request id says what it stands for; and whether something was made of it. */
async function settle(
  context: AgentContext,
  generation: ContractGeneration,
  resolved: DeliveredSignal<"dependencyResolved">,
): Promise<boolean> {
  const { session, signal } = context;
  const { delivery } = resolved;
  const contract = dataOf(resolved, contractFrom);
  if (delivery.isRedelivery) {
    const message = `contract ${contract.eventType}, attempt ${delivery.attempt}`;
    await session.message({ messageType: messageTypes.redelivered, message }, { signal });
  }
  const outcome = outcomeName(generation, contract);
  const options = { metadata: { [outcomeKey]: outcome }, signal };
  const made = await generation.generate(contract).catch((error: unknown) => {
    if (signal.aborted || !(error instanceof GenerationError)) throw error;
    return error;
  });
  if (made instanceof GenerationError) {
    const failed = { messageType: messageTypes.generationFailed, message: made.message };
    await session.message(failed, { ...options, requestId: `failed ${outcome}` });
    await delivery.reject(made.message.slice(0, maxRejectionLength));
    return false;
  }
  const { product: dependencyType } = generation;
  await session.dependencyResolved(
    { dependencyType, dependencyId: contract.eventType, resolutionData: generatedData(made) },
    { ...options, requestId: outcome },
  );
  return true;
}

/** Where an agent that is to be killed waits for that. */
function untilAborted(signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => signal.addEventListener("abort", () => resolve(), { once: true }));
}

async function outcomeOfAll(context: AgentContext, generation: ContractGeneration): Promise<AgentOutcome> {
  const { session, signal } = context;
  // This agent goes on with its contracts while it waits.
  const wait = { timeoutMs: maxWaitMs, independent: true, signal };
  await session.waitFor({ agentId: await agentWith(context, capabilities.parsing) }, wait);
  const contracts = await readContracts(context);
  const outcomes = contracts.map((contract) => ({
    signal: { senders: [session.agentId], metadata: { [outcomeKey]: outcomeName(generation, contract) } },
  }));
  for (let from = 0; from < outcomes.length; from += maxWaitConditions) {
    await session.waitFor(outcomes.slice(from, from + maxWaitConditions), wait);
  }
  const failures = await failuresOf(context);
  const failed = contracts.filter((contract) => failures.has(outcomeName(generation, contract)));
  const made = contracts.filter((contract) => !failed.includes(contract));
  const products = `${generation.product}s`;
  const reasons = failed.map((each) => `${each.eventType}: ${failures.get(outcomeName(generation, each))}`);
  return {
    summary: `generated ${made.length} ${products}`,
    qualityScore: made.length / contracts.length,
    artifacts: made.map(generation.pathOf),
    error:
      failed.length === 0
        ? undefined
        : `${failed.length} of ${contracts.length} ${products} could not be generated: ${reasons.join("; ")}`,
  };
}

/** The outcomes of this agent that are failures, each with its reason. One that was made after all is none. */
async function failuresOf({ session, signal }: AgentContext): Promise<ReadonlyMap<string, string>> {
  const failures = new Map<string, string>();
  const own = session.history({ senders: [session.agentId], order: "oldestFirst", pageSize: 1_000, signal });
  for await (const { event, metadata } of own) {
    const outcome = metadata[outcomeKey];
    if (outcome === undefined) continue;
    if (event.case === "interAgentMessage") failures.set(outcome, event.value.message);
    else failures.delete(outcome);
  }
  return failures;
}

function outcomeName({ product }: ContractGeneration, { artifactName, sha256 }: ResolvedContract): string {
  return `${product}:${artifactName}:${sha256.slice(0, 24)}`;
}

/** A contract of which nothing can be generated. */
export class GenerationError extends Error {
  constructor(cause: unknown) {
    super(cause instanceof Error ? cause.message : String(cause), { cause });
    this.name = "GenerationError";
  }
}
