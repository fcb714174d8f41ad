import { createRequire } from "node:module";
import path from "node:path";

/** What a run works on: a contract, and the payloads to hold against it. */
export interface WorkflowInput {
  /** A JSON Schema file. */
  readonly contract: string;
  /** A folder of JSON files, or a file; undefined when there are no payloads. */
  readonly payloads: string | undefined;
}

/** What the user may name of it. */
export interface InputOptions {
  readonly contract?: string | undefined;
  readonly payloads?: string | undefined;
}

/** Completes what the user named: without a contract the webhooks of GitHub, and for those the real payloads that are published. */
export function workflowInput({ contract, payloads }: InputOptions): WorkflowInput {
  const require = createRequire(import.meta.url);
  const namedPayloads = payloads === undefined ? undefined : path.resolve(payloads);
  if (contract !== undefined) return { contract: path.resolve(contract), payloads: namedPayloads };
  return {
    contract: require.resolve("@octokit/webhooks-schemas/schema.json"),
    payloads: namedPayloads ?? require.resolve("@octokit/webhooks-examples/api.github.com/index.json"),
  };
}
