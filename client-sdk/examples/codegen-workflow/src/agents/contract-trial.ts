import type { ArtifactFolder } from "../artifacts/artifact-folder.js";
import { type ContractVariant, variantOf } from "../contract/contract-variant.js";
import type { Validator } from "../generation/validator-source.js";
import type { JsonObject, JsonValue } from "../json-value.js";
import { maxEventTypeLength } from "../limits.js";
import { checkPayload, type PayloadErrors } from "../validation/check-payload.js";
import { loadValidator } from "../validation/load-validator.js";
import type { PayloadFailure } from "../validation/validation-report.js";
import type { GeneratedArtifact, ResolvedContract } from "../workflow/resolution.js";
import { variantDependencyId } from "../workflow/vocabulary.js";

/** A payload as the contract parser has put it down. */
interface SourcedPayload {
  readonly source: string;
  readonly value: JsonValue;
}

/** A payload that did not pass, and the variant that it was meant to be. */
interface FailedPayload extends SourcedPayload {
  readonly variant: ContractVariant | undefined;
  readonly result: PayloadErrors;
}

/** The payloads of one contract, and what its validator says about them. */
export class ContractTrial {
  readonly contract: ResolvedContract;
  readonly #folder: ArtifactFolder;
  readonly #payloads: readonly SourcedPayload[];
  readonly #schema: JsonObject;
  #failed: readonly FailedPayload[] = [];
  #problem: string | undefined;

  private constructor(
    contract: ResolvedContract,
    folder: ArtifactFolder,
    payloads: readonly SourcedPayload[],
    schema: JsonObject,
  ) {
    this.contract = contract;
    this.#folder = folder;
    this.#payloads = payloads;
    this.#schema = schema;
  }

  /** Reads the contract and its payloads. */
  static async open(folder: ArtifactFolder, contract: ResolvedContract): Promise<ContractTrial> {
    const schema: JsonObject = JSON.parse(await folder.read(contract));
    const text = contract.payloads === undefined ? "[]" : await folder.read(contract.payloads);
    return new ContractTrial(contract, folder, JSON.parse(text), schema);
  }

  /** Why there is no validator that can be used; undefined when there is one. */
  get problem(): string | undefined {
    return this.#problem;
  }

  get payloads(): number {
    return this.#payloads.length;
  }

  get passed(): number {
    return this.#payloads.length - this.#failed.length;
  }

  get failures(): readonly PayloadFailure[] {
    return this.#failed.map(({ source, variant, result }) => ({
      eventType: this.contract.eventType,
      variant: variant?.name,
      source,
      ...result,
    }));
  }

  /** The variants that payloads were meant to be and failed as, each once. Their own validators say more about why. */
  get failedVariants(): readonly ContractVariant[] {
    const variants = new Map<string, ContractVariant>();
    for (const { variant } of this.#failed) {
      if (variant !== undefined && isNameable(this.contract, variant)) variants.set(variant.pointer, variant);
    }
    return [...variants.values()];
  }

  /** Validates the payloads with the contract's validator. */
  async tryValidator(artifact: GeneratedArtifact): Promise<void> {
    let validate: Validator;
    try {
      validate = await loadValidator(this.#folder, artifact);
    } catch (error) {
      this.giveUp(`cannot be loaded: ${(error as Error).message}`);
      return;
    }
    this.#failed = this.#payloads.flatMap((payload) => {
      const result = checkPayload(validate, payload.value);
      return result === undefined ? [] : [{ ...payload, result, variant: variantOf(this.#schema, payload.value) }];
    });
  }

  /** There is no validator to be had: every payload counts as one that did not pass. */
  giveUp(reason: string): void {
    this.#problem = reason;
    const result = { errors: [{ path: "", message: `could not be validated: ${reason}` }], errorCount: 1 };
    this.#failed = this.#payloads.map((payload) => ({ ...payload, result, variant: undefined }));
  }

  /** Replaces the errors of the whole union by those of the variant that the payloads were meant to be. */
  async explain(variantPointer: string, artifact: GeneratedArtifact): Promise<void> {
    const validate = await loadValidator(this.#folder, artifact);
    this.#failed = this.#failed.map((failed) => {
      if (failed.variant?.pointer !== variantPointer) return failed;
      // It fits this variant, so it failed as a member of the union: then the union's errors are the right ones.
      return { ...failed, result: checkPayload(validate, failed.value) ?? failed.result };
    });
  }
}

/** The variant's validator must be announced under an id that a dependency may have. */
function isNameable({ eventType }: ResolvedContract, { pointer }: ContractVariant): boolean {
  return variantDependencyId(eventType, pointer).length <= maxEventTypeLength;
}
