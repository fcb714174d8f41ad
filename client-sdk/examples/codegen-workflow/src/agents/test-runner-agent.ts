import { DependencyFailedError } from "@coordination-signals/client";
import { maxConcurrentTrials, maxVariantRequests, maxWaitMs } from "../limits.js";
import type { RejectedPayload } from "../payloads/payload.js";
import { checkModels } from "../validation/check-models.js";
import { errorText, reportMarkdown, summaryText } from "../validation/report-text.js";
import { type PayloadFailure, type ValidationReport, validationReport } from "../validation/validation-report.js";
import { agentWith } from "../workflow/agent-facts.js";
import { inParallel } from "../workflow/in-parallel.js";
import { generatedFrom, rejectedPayloadsFrom } from "../workflow/resolution.js";
import { readContracts, readResolved } from "../workflow/resolved.js";
import { capabilities, dependencyTypes, reportFile } from "../workflow/vocabulary.js";
import type { AgentContext, AgentOutcome, WorkflowAgent } from "../workflow/workflow-agent.js";
import { ContractTrial } from "./contract-trial.js";
import { ValidatorSource } from "./validator-source.js";

/** What can be set of a test runner. */
export interface TestRunnerOptions {
  /** How long to wait for the answer to a request, in milliseconds. */
  readonly responseTimeoutMs: number;
}

/**
 * Validates the payloads of each contract as soon as its validator exists, and type-checks the models. Asks the validator
 * generator for what is missing: any validator that is not there when the generator has completed; and the validator of the
 * variant that a failed payload was meant to be, which tells why it failed.
 */
export function createTestRunner(context: AgentContext, options: TestRunnerOptions): WorkflowAgent {
  return { capability: capabilities.validation, work: () => validate(context, options) };
}

async function validate(context: AgentContext, { responseTimeoutMs }: TestRunnerOptions): Promise<AgentOutcome> {
  const { session, folder, signal } = context;
  const wait = { timeoutMs: maxWaitMs, signal };
  await session.waitFor({ agentId: await agentWith(context, capabilities.parsing) }, wait);
  const validators = await ValidatorSource.find(context, responseTimeoutMs);
  const trials = await tryContracts(context, validators);
  await explainFailures(trials, validators);
  await session.waitFor({ agentId: await agentWith(context, capabilities.models) }, wait).catch((error: unknown) => {
    // It says itself what it could not make; what it made is to be checked.
    if (!(error instanceof DependencyFailedError)) throw error;
  });
  const report = await reportOf(context, trials);
  const json = await folder.write(reportFile, `${JSON.stringify(report, undefined, 2)}\n`);
  const markdown = await folder.write("report.md", reportMarkdown(report));
  return {
    summary: summaryText(report),
    qualityScore: report.qualityScore,
    artifacts: [json.path, markdown.path],
    error: errorText(report),
  };
}

async function tryContracts(context: AgentContext, validators: ValidatorSource): Promise<readonly ContractTrial[]> {
  const contracts = await readContracts(context);
  return inParallel(contracts, maxConcurrentTrials, async (contract) => {
    const trial = await ContractTrial.open(context.folder, contract);
    const response = await validators.ofContract(contract);
    if ("error" in response) trial.giveUp(response.error);
    else await trial.tryValidator(response.validator);
    return trial;
  });
}

/** A variant without a validator leaves the errors of the whole contract: less telling, but as true. */
async function explainFailures(trials: readonly ContractTrial[], validators: ValidatorSource): Promise<void> {
  const failed = trials.flatMap((trial) => trial.failedVariants.map((variant) => ({ trial, variant })));
  await inParallel(failed.slice(0, maxVariantRequests), maxConcurrentTrials, async ({ trial, variant }) => {
    const response = await validators.ofVariant(trial.contract, variant);
    if ("validator" in response) await trial.explain(variant.pointer, response.validator);
  });
}

async function reportOf(context: AgentContext, trials: readonly ContractTrial[]): Promise<ValidationReport> {
  const models = await readResolved(context, dependencyTypes.model, generatedFrom);
  const modelFiles = trials.flatMap(({ contract }) => models.get(contract.eventType)?.path ?? []);
  const rejected = await rejectedFailures(context);
  return validationReport({
    eventTypes: trials
      .filter(({ payloads }) => payloads > 0)
      .map(({ contract, payloads, passed }) => ({ eventType: contract.eventType, payloads, passed })),
    failures: [...trials.flatMap(({ failures }) => failures), ...rejected],
    rejected: rejected.length,
    validators: trials.filter(({ problem }) => problem === undefined).length,
    models: modelFiles.length,
    validatorProblems: trials.flatMap(({ contract, problem }) =>
      problem === undefined ? [] : [{ eventType: contract.eventType, reason: problem }],
    ),
    modelProblems: checkModels(context.folder.root, modelFiles),
  });
}

async function rejectedFailures(context: AgentContext): Promise<readonly PayloadFailure[]> {
  const found = await readResolved(context, dependencyTypes.rejectedPayloads, rejectedPayloadsFrom);
  const failures: PayloadFailure[] = [];
  for (const artifact of found.values()) {
    const rejected: readonly RejectedPayload[] = JSON.parse(await context.folder.read(artifact));
    for (const { source, reason } of rejected) {
      const errors = [{ path: "", message: reason }];
      failures.push({ eventType: undefined, variant: undefined, source, errors, errorCount: 1 });
    }
  }
  return failures;
}
