import path from "node:path";
import type { Artifact } from "../artifacts/artifact-folder.js";
import { artifactNames } from "../contract/artifact-names.js";
import { readContractDocument } from "../contract/contract-document.js";
import { type Contract, splitContract } from "../contract/split-contract.js";
import type { WorkflowInput } from "../default-input.js";
import { matchPayloads } from "../payloads/match-payloads.js";
import type { Payload, RejectedPayload } from "../payloads/payload.js";
import { readPayloads } from "../payloads/read-payloads.js";
import {
  contractData,
  type RejectedPayloads,
  type ResolvedContract,
  rejectedPayloadsData,
} from "../workflow/resolution.js";
import { capabilities, dependencyTypes } from "../workflow/vocabulary.js";
import type { AgentContext, AgentOutcome, WorkflowAgent } from "../workflow/workflow-agent.js";

/**
 * Reads the contract and the payloads, and resolves one contract after the other: its schema in a file of its own, with the
 * payloads that are there for it. The others never see the input itself.
 */
export function createContractParser(context: AgentContext, input: WorkflowInput): WorkflowAgent {
  return { capability: capabilities.parsing, work: () => parse(context, input) };
}

async function parse(context: AgentContext, input: WorkflowInput): Promise<AgentOutcome> {
  const { folder, signal } = context;
  const document = await readContractDocument(input.contract, signal);
  const contracts = splitContract(document);
  const eventTypes = contracts.map(({ eventType }) => eventType);
  const found =
    input.payloads === undefined ? { payloads: [], rejected: [] } : await readPayloads(input.payloads, signal);
  const { byEventType, rejected } = matchPayloads(found, eventTypes);
  const names = artifactNames(eventTypes);
  const artifacts: string[] = [];
  for (const contract of contracts) {
    signal.throwIfAborted();
    const artifactName = names.get(contract.eventType) ?? contract.eventType;
    const payloads = byEventType.get(contract.eventType) ?? [];
    const resolved: ResolvedContract = {
      eventType: contract.eventType,
      ...(await folder.write(`contracts/${artifactName}.schema.json`, jsonText(contract.schema))),
      pointer: contract.pointer,
      typeName: contract.typeName,
      artifactName,
      payloadCount: payloads.length,
      payloads: await writePayloads(context, artifactName, payloads),
    };
    artifacts.push(resolved.path);
    await resolveContract(context, resolved);
  }
  if (rejected.length > 0) await resolveRejected(context, rejected);
  return {
    summary: summaryOf(input, contracts, found.payloads.length + found.rejected.length, rejected.length),
    qualityScore: 1,
    artifacts,
    error: undefined,
  };
}

async function writePayloads(
  { folder }: AgentContext,
  artifactName: string,
  payloads: readonly Payload[],
): Promise<Artifact | undefined> {
  if (payloads.length === 0) return undefined;
  const sourced = payloads.map(({ source, value }) => ({ source, value }));
  return folder.write(`payloads/${artifactName}.json`, jsonText(sourced));
}

/** Once for the same input, however often the parser runs: the request id says what it stands for. */
async function resolveContract({ session, signal }: AgentContext, contract: ResolvedContract) {
  await session.dependencyResolved(
    {
      dependencyType: dependencyTypes.contract,
      dependencyId: contract.eventType,
      resolutionData: contractData(contract),
    },
    { requestId: `contract:${contract.artifactName}:${shortDigest(contract)}`, signal },
  );
}

function shortDigest({ sha256, payloads }: ResolvedContract): string {
  return `${sha256.slice(0, 12)}${payloads?.sha256.slice(0, 12) ?? ""}`;
}

async function resolveRejected({ session, folder, signal }: AgentContext, rejected: readonly RejectedPayload[]) {
  const artifact = await folder.write("rejected-payloads.json", jsonText(rejected));
  const data: RejectedPayloads = { ...artifact, count: rejected.length };
  await session.dependencyResolved(
    {
      dependencyType: dependencyTypes.rejectedPayloads,
      dependencyId: "all",
      resolutionData: rejectedPayloadsData(data),
    },
    { requestId: `rejected-payloads:${artifact.sha256.slice(0, 24)}`, signal },
  );
}

function summaryOf(input: WorkflowInput, contracts: readonly Contract[], payloads: number, rejected: number): string {
  const source = path.basename(input.contract);
  const unmatched = rejected === 0 ? "" : `, ${rejected} of them of no event type`;
  return `resolved ${contracts.length} contracts from ${source}, with ${payloads} payloads${unmatched}`;
}

function jsonText(value: unknown): string {
  return `${JSON.stringify(value, undefined, 2)}\n`;
}
