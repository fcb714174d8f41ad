import { randomBytes } from "node:crypto";
import { mkdtemp, readFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import path from "node:path";
import {
  type CoordinationObserver,
  type CoordinationSignal,
  createCoordinationClient,
  isOfTypes,
  NotFoundError,
} from "@coordination-signals/client";
import { makeFolder } from "../artifacts/make-folder.js";
import { readContractDocument } from "../contract/contract-document.js";
import { splitContract } from "../contract/split-contract.js";
import { type WorkflowInput, workflowInput } from "../default-input.js";
import { readPayloads } from "../payloads/read-payloads.js";
import type { ValidationReport } from "../validation/validation-report.js";
import { dependencyTypes, reportFile } from "../workflow/vocabulary.js";
import { WorkflowInputError } from "../workflow-input-error.js";
import type { AgentName } from "./agent-names.js";
import { deadlockArgs, deadlockText } from "./deadlock.js";
import type { DemoOptions } from "./demo-options.js";
import { findServer } from "./find-server.js";
import { startOwnServer } from "./own-server.js";
import { Progress } from "./progress.js";
import { closingLine, deadLettersText, failuresText, filesText, metricsText, shownDeadLetters } from "./result-text.js";
import { runWorkflow } from "./run-workflow.js";
import { timelineText } from "./timeline.js";
import { timelineEntryFrom } from "./timeline-entry.js";

/** What a run of the demo works on. */
interface DemoInput extends WorkflowInput {
  readonly eventTypes: number;
  readonly payloadCount: number;
}

/** A demo with everything it needs at hand. */
interface PreparedDemo {
  readonly options: DemoOptions;
  readonly input: DemoInput;
  readonly server: string;
  readonly coordinationId: string;
  readonly outputFolder: string;
  readonly signal: AbortSignal;
}

/**
 * Runs the workflow and shows it: its progress, who signalled what and when, what the server measured, where the files are.
 * @returns whether every agent completed well.
 * @throws WorkflowInputError when the contract, the payloads, the output folder or the server cannot be used, and the signal's reason when aborted.
 */
export async function runDemo(options: DemoOptions, signal: AbortSignal): Promise<boolean> {
  const input = await readInput(options, signal);
  if (options.server !== undefined) await findServer(options.server, signal);
  const outputFolder = await outputFolderFor(options);
  const demo = { options, input, coordinationId: freshCoordinationId(), outputFolder };
  if (options.server !== undefined) return showWorkflow({ ...demo, server: options.server, signal });
  console.log("Starting a coordination server for this run ...");
  await using server = await startOwnServer(signal);
  const serverEnd = new AbortController();
  void server.ended.then((reason) => serverEnd.abort(reason));
  const lasting = AbortSignal.any([signal, serverEnd.signal]);
  const succeeded = await showWorkflow({ ...demo, server: server.url, signal: lasting });
  if (options.keep) await keepServer(server.url, lasting);
  return succeeded;
}

/** Reads contract and payloads once before any agent does: what cannot be used is said before anything is started. */
async function readInput(options: DemoOptions, signal: AbortSignal): Promise<DemoInput> {
  const input = workflowInput(options);
  const contracts = splitContract(await readContractDocument(input.contract, signal));
  const found = input.payloads === undefined ? undefined : await readPayloads(input.payloads, signal);
  const payloadCount = found === undefined ? 0 : found.payloads.length + found.rejected.length;
  return { ...input, eventTypes: contracts.length, payloadCount };
}

async function outputFolderFor({ out }: DemoOptions): Promise<string> {
  if (out === undefined) return mkdtemp(path.join(tmpdir(), "codegen-workflow-"));
  const folder = path.resolve(out);
  try {
    await makeFolder(folder);
  } catch (error) {
    const why = error instanceof Error ? error.message : String(error);
    throw new WorkflowInputError(`cannot use output folder ${out}: ${why}`, { cause: error });
  }
  return folder;
}

/** Never one that a server has seen before, and easy to find in its list. */
function freshCoordinationId(): string {
  const time = new Date().toISOString().replace(/[-:]|\..*$/g, "");
  return `codegen-${time}-${randomBytes(4).toString("hex")}`;
}

async function showWorkflow(demo: PreparedDemo): Promise<boolean> {
  const { input, options, server, coordinationId, outputFolder, signal } = demo;
  console.log(headText(demo));
  await using client = createCoordinationClient({ baseUrl: server });
  const observer = client.coordination(coordinationId);
  const failures: string[] = await runWorkflow({
    observer,
    progress: new Progress(input.eventTypes, (line) => console.log(line)),
    eventTypes: input.eventTypes,
    order: options.order,
    kill: options.kill,
    timeoutSeconds: options.timeoutSeconds,
    argsOf: (name) => agentArgs(demo, name),
    signal,
  });
  const signals = await readBack(observer, signal);
  const report = await readReport(outputFolder, signals);
  if (report !== undefined && report.failures.length > 0) console.log(`\n${failuresText(report)}`);
  console.log(`\nWho signalled what, and when:\n\n${timelineText(signals.map(timelineEntryFrom))}`);
  if (options.deadlock) failures.push(...showDeadlock(signals));
  await showDeadLetters(observer, signals, signal);
  if (signals.length > 0) console.log(`\n${metricsText(await observer.metrics({ signal }))}`);
  console.log(`\nGenerated files: ${filesText(outputFolder, countsIn(signals), report !== undefined)}\n`);
  for (const failure of failures) console.error(failure);
  console.log(closingLine(report, failures));
  return failures.length === 0;
}

function headText({ input, options, server, coordinationId, outputFolder }: PreparedDemo): string {
  return [
    `Coordination  ${coordinationId} on ${server}`,
    `Contract      ${input.contract}: ${input.eventTypes} event types`,
    `Payloads      ${input.payloads === undefined ? "none" : `${input.payloads}: ${input.payloadCount}`}`,
    `Output        ${outputFolder}`,
    ...(options.order === undefined ? [] : [`Start order   ${options.order.join(", ")}`]),
    "",
  ].join("\n");
}

function agentArgs(
  { input, options, server, coordinationId, outputFolder }: PreparedDemo,
  name: AgentName,
): readonly string[] {
  const args = ["--server", server, "--coordination", coordinationId, "--out", outputFolder];
  if (options.deadlock) args.push(...deadlockArgs(name));
  if (name !== "contract-parser") return args;
  const payloads = input.payloads === undefined ? [] : ["--payloads", input.payloads];
  return [...args, "--contract", input.contract, ...payloads];
}

/** The whole log once more, from history: nothing of it hangs on what was seen live. Empty when nobody came to signal. */
async function readBack(observer: CoordinationObserver, signal: AbortSignal): Promise<readonly CoordinationSignal[]> {
  const signals: CoordinationSignal[] = [];
  try {
    for await (const past of observer.history({ order: "oldestFirst", pageSize: 1_000, signal })) signals.push(past);
  } catch (error) {
    if (!(error instanceof NotFoundError && error.reason === "COORDINATION_NOT_FOUND")) throw error;
  }
  return signals;
}

/** How many dependencies of each kind were resolved. */
function countsIn(signals: readonly CoordinationSignal[]) {
  const resolved = signals.filter((signal) => isOfTypes(signal, ["dependencyResolved"]));
  const countOf = (type: string) => {
    const ofType = resolved.filter(({ event }) => event.value.dependencyType === type);
    return new Set(ofType.map(({ event }) => event.value.dependencyId)).size;
  };
  const { contract, model, validator } = dependencyTypes;
  return { contracts: countOf(contract), models: countOf(model), validators: countOf(validator) };
}

/** Shows what nobody could do, with who could not. */
async function showDeadLetters(
  observer: CoordinationObserver,
  signals: readonly CoordinationSignal[],
  signal: AbortSignal,
): Promise<void> {
  if (signals.length === 0) return;
  const { deadLetters, deadLetterCount } = await observer.listDeadLetters({ pageSize: shownDeadLetters, signal });
  if (deadLetterCount > 0n) console.log(`\n${deadLettersText(deadLetters, deadLetterCount)}`);
}

/** Shows how the deadlock was refused. @returns what failed: that it was not. */
function showDeadlock(signals: readonly CoordinationSignal[]): readonly string[] {
  const text = deadlockText(signals);
  if (text === undefined) return ["no wait was refused, though two agents were told to wait for each other"];
  console.log(`\nDeadlock: ${text}`);
  return [];
}

/** The report of this run; undefined when the test runner did not come to write one. */
async function readReport(
  outputFolder: string,
  signals: readonly CoordinationSignal[],
): Promise<ValidationReport | undefined> {
  const completions = signals.filter((signal) => isOfTypes(signal, ["agentCompleted"]));
  const hasReport = completions.some(({ event }) => event.value.artifactsGenerated.includes(reportFile));
  return hasReport ? JSON.parse(await readFile(path.join(outputFolder, reportFile), "utf8")) : undefined;
}

async function keepServer(url: string, signal: AbortSignal): Promise<void> {
  console.log(`\nThe server keeps running at ${url}. Ctrl+C ends it, and forgets everything.`);
  await new Promise<void>((resolve) => {
    signal.addEventListener("abort", () => resolve(), { once: true });
    if (signal.aborted) resolve();
  });
}
