import { variantAt, variantSchema } from "../contract/contract-variant.js";
import { runtimeFiles } from "../generation/validator-runtime.js";
import { validatorSource } from "../generation/validator-source.js";
import type { JsonObject } from "../json-value.js";
import { type GeneratedArtifact, generatedData, type ResolvedContract } from "../workflow/resolution.js";
import { dependencyTypes, variantDependencyId } from "../workflow/vocabulary.js";
import type { AgentContext } from "../workflow/workflow-agent.js";
import { GenerationError } from "./contract-generation.js";

/** The file of a contract's validator. */
export function validatorPath({ artifactName }: ResolvedContract): string {
  return `validators/${artifactName}.mjs`;
}

/** Writes validators, and the run time that they import. */
export class ValidatorWriter {
  readonly #context: AgentContext;
  readonly #runtimeWritten = new Set<string>();

  constructor(context: AgentContext) {
    this.#context = context;
  }

  /** Writes the validator of a contract. */
  async ofContract(contract: ResolvedContract): Promise<GeneratedArtifact> {
    const file = { path: validatorPath(contract), runtimeFolder: "./runtime" };
    return this.#write(contract, await this.#schemaOf(contract), file);
  }

  /** Writes the validator of one variant of a contract, and signals that it exists. */
  async ofVariant(contract: ResolvedContract, pointer: string): Promise<GeneratedArtifact> {
    const schema = await this.#schemaOf(contract);
    const variant = variantAt(schema, pointer);
    if (variant === undefined) throw new GenerationError(`${contract.eventType} has no variant ${pointer}`);
    const name = `${contract.artifactName}.${variant.index}`;
    const file = { path: `validators/variants/${name}.mjs`, runtimeFolder: "../runtime" };
    const validator = await this.#write(contract, variantSchema(schema, variant), file);
    const { session, signal } = this.#context;
    const dependency = {
      dependencyType: dependencyTypes.validator,
      dependencyId: variantDependencyId(contract.eventType, pointer),
      resolutionData: generatedData(validator),
    };
    const requestId = `variant validator:${name}:${contract.sha256.slice(0, 24)}`;
    await session.dependencyResolved(dependency, { requestId, signal });
    return validator;
  }

  async #schemaOf(contract: ResolvedContract): Promise<JsonObject> {
    return JSON.parse(await this.#context.folder.read(contract));
  }

  async #write(
    contract: ResolvedContract,
    schema: JsonObject,
    file: { readonly path: string; readonly runtimeFolder: string },
  ): Promise<GeneratedArtifact> {
    const { text, runtimeModules } = compiled(schema, file.runtimeFolder);
    for (const module of runtimeModules) {
      if (this.#runtimeWritten.has(module.fileName)) continue;
      for (const [fileName, content] of await runtimeFiles(module)) {
        await this.#context.folder.write(`validators/runtime/${fileName}`, content);
      }
      this.#runtimeWritten.add(module.fileName);
    }
    return { ...(await this.#context.folder.write(file.path, text)), contractSha256: contract.sha256 };
  }
}

function compiled(schema: JsonObject, runtimeFolder: string) {
  try {
    return validatorSource(schema, runtimeFolder);
  } catch (error) {
    throw new GenerationError(error);
  }
}
