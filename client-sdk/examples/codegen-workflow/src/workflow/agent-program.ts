import { Command, InvalidArgumentError, Option } from "commander";
import { exitCodes, interruption } from "./process-end.js";
import { runAgent } from "./run-agent.js";
import type { AgentContext, WorkflowAgent } from "./workflow-agent.js";

/** The flags that every agent has. */
export interface AgentFlags {
  readonly server: string;
  readonly coordination: string;
  readonly agentId: string;
  readonly out: string;
  readonly after?: string;
  readonly hangAt?: number;
}

/** An agent as a program of its own. */
export interface AgentProgram<Flags extends AgentFlags> {
  /** The program's name, and the agent's id unless told otherwise. */
  readonly name: string;
  readonly description: string;
  /** Adds the flags that only this agent has. */
  addFlags?(command: Command): void;
  createAgent(context: AgentContext, flags: Flags): WorkflowAgent;
}

/** Runs an agent as its command line says, and sets the exit code of the process. */
export async function runAgentProgram<Flags extends AgentFlags>(program: AgentProgram<Flags>): Promise<void> {
  const command = new Command(program.name)
    .description(program.description)
    .option("--server <url>", "coordination server", "http://127.0.0.1:50051")
    .requiredOption("--coordination <id>", "coordination to take part in")
    .option("--agent-id <id>", "id of this agent in it", program.name)
    .requiredOption("--out <folder>", "folder that the agents of the workflow share")
    .option("--after <agent-id>", "begin when this agent has completed (default: at once)")
    .addOption(new Option("--hang-at <n>", "hang in the nth contract, to be killed there").argParser(count).hideHelp())
    .exitOverride((error) => process.exit(error.exitCode === 0 ? 0 : exitCodes.usage));
  program.addFlags?.(command);
  const flags = command.parse().opts<Flags>();
  using interrupted = interruption();
  try {
    const error = await runAgent({
      server: flags.server,
      coordinationId: flags.coordination,
      agentId: flags.agentId,
      outputFolder: flags.out,
      after: flags.after,
      hangAt: flags.hangAt,
      signal: interrupted.signal,
      createAgent: (context) => program.createAgent(context, flags),
    });
    if (error === undefined) return;
    console.error(`${flags.agentId}: ${error.message}`);
    process.exitCode = error.isOutcome ? exitCodes.completedWithError : exitCodes.failed;
  } catch (error) {
    console.error(`${flags.agentId}: ${error instanceof Error ? error.message : String(error)}`);
    process.exitCode = interrupted.exitCode ?? exitCodes.failed;
  }
}

/** Reads a flag that is a span in milliseconds, at least 1. */
export function milliseconds(text: string): number {
  const value = Number(text);
  if (!Number.isSafeInteger(value) || value < 1 || value > maxTimerMs) {
    throw new InvalidArgumentError(`must be a whole number of milliseconds from 1 to ${maxTimerMs}`);
  }
  return value;
}

function count(text: string): number {
  const value = Number(text);
  if (Number.isSafeInteger(value) && value >= 1) return value;
  throw new InvalidArgumentError("must be a whole number from 1");
}

/** The longest span that a timer of Node.js can wait. */
const maxTimerMs = 2 ** 31 - 1;
