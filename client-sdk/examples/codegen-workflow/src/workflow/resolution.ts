/** What the resolution data of dependencies and the payloads of messages hold: references to files, never their content. */
import type { Artifact } from "../artifacts/artifact-folder.js";
import type { JsonObject } from "../json-value.js";

/** A contract that has been resolved. */
export interface ResolvedContract extends Artifact {
  readonly eventType: string;
  /** Where it was in the document. */
  readonly pointer: string;
  /** Name for its root type. */
  readonly typeName: string;
  /** Name for the files made of it. */
  readonly artifactName: string;
  readonly payloadCount: number;
  /** The file with its payloads; undefined when there are none. */
  readonly payloads: Artifact | undefined;
}

/** A model or a validator that has been generated. */
export interface GeneratedArtifact extends Artifact {
  /** The digest of the contract that it was generated from. */
  readonly contractSha256: string;
}

/** Payloads that no contract is for. */
export interface RejectedPayloads extends Artifact {
  readonly count: number;
}

/** A request for a validator. */
export interface ValidatorRequest {
  readonly eventType: string;
  /** The variant's place in the contract's schema; undefined for the event type as a whole. */
  readonly variantPointer: string | undefined;
}

/** The answer to a request for a validator: what was made, or why nothing was. */
export type ValidatorResponse = { readonly validator: GeneratedArtifact } | { readonly error: string };

export function contractData(contract: Omit<ResolvedContract, "eventType">): JsonObject {
  return {
    file_path: contract.path,
    sha256: contract.sha256,
    pointer: contract.pointer,
    type_name: contract.typeName,
    artifact_name: contract.artifactName,
    payload_count: contract.payloadCount,
    ...(contract.payloads && {
      payloads_file_path: contract.payloads.path,
      payloads_sha256: contract.payloads.sha256,
    }),
  };
}

export function contractFrom(data: JsonObject, eventType: string): ResolvedContract {
  const payloadCount = countField(data, "payload_count");
  return {
    eventType,
    path: textField(data, "file_path"),
    sha256: textField(data, "sha256"),
    pointer: textField(data, "pointer"),
    typeName: textField(data, "type_name"),
    artifactName: textField(data, "artifact_name"),
    payloadCount,
    payloads:
      payloadCount === 0
        ? undefined
        : { path: textField(data, "payloads_file_path"), sha256: textField(data, "payloads_sha256") },
  };
}

export function generatedData({ path, sha256, contractSha256 }: GeneratedArtifact): JsonObject {
  return { file_path: path, sha256, contract_sha256: contractSha256 };
}

export function generatedFrom(data: JsonObject): GeneratedArtifact {
  return {
    path: textField(data, "file_path"),
    sha256: textField(data, "sha256"),
    contractSha256: textField(data, "contract_sha256"),
  };
}

export function rejectedPayloadsData({ path, sha256, count }: RejectedPayloads): JsonObject {
  return { file_path: path, sha256, count };
}

export function rejectedPayloadsFrom(data: JsonObject): RejectedPayloads {
  return { path: textField(data, "file_path"), sha256: textField(data, "sha256"), count: countField(data, "count") };
}

export function requestPayload({ eventType, variantPointer }: ValidatorRequest): JsonObject {
  return { event_type: eventType, ...(variantPointer !== undefined && { variant: variantPointer }) };
}

export function requestFrom(payload: JsonObject): ValidatorRequest {
  const hasVariant = Object.hasOwn(payload, "variant");
  return {
    eventType: textField(payload, "event_type"),
    variantPointer: hasVariant ? textField(payload, "variant") : undefined,
  };
}

export function responsePayload(response: ValidatorResponse): JsonObject {
  return "error" in response ? { error: response.error } : generatedData(response.validator);
}

export function responseFrom(payload: JsonObject): ValidatorResponse {
  return Object.hasOwn(payload, "error")
    ? { error: textField(payload, "error") }
    : { validator: generatedFrom(payload) };
}

function textField(data: JsonObject, name: string): string {
  const value = data[name];
  if (typeof value !== "string" || value === "") throw new Error(`${name} is ${JSON.stringify(value)}, not a text`);
  return value;
}

function countField(data: JsonObject, name: string): number {
  const value = data[name];
  if (typeof value !== "number" || !Number.isSafeInteger(value) || value < 0) {
    throw new Error(`${name} is ${JSON.stringify(value)}, not a count`);
  }
  return value;
}
