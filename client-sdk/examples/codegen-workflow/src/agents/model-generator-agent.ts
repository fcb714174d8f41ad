import { modelSource } from "../generation/model-source.js";
import type { JsonObject } from "../json-value.js";
import type { GeneratedArtifact, ResolvedContract } from "../workflow/resolution.js";
import { capabilities, dependencyTypes } from "../workflow/vocabulary.js";
import type { AgentContext, WorkflowAgent } from "../workflow/workflow-agent.js";
import { GenerationError, generateFromContracts } from "./contract-generation.js";

/** Writes the TypeScript types of each contract as it resolves. */
export function createModelGenerator(context: AgentContext): WorkflowAgent {
  const generation = {
    product: dependencyTypes.model,
    pathOf: modelPath,
    generate: (contract: ResolvedContract) => generate(context, contract),
  };
  return { capability: capabilities.models, work: () => generateFromContracts(context, generation) };
}

function modelPath({ artifactName }: ResolvedContract): string {
  return `models/${artifactName}.ts`;
}

async function generate({ folder }: AgentContext, contract: ResolvedContract): Promise<GeneratedArtifact> {
  const schema: JsonObject = JSON.parse(await folder.read(contract));
  const text = await modelSource(schema, contract.typeName).catch((error: unknown) => {
    throw new GenerationError(error);
  });
  return { ...(await folder.write(modelPath(contract), text)), contractSha256: contract.sha256 };
}
