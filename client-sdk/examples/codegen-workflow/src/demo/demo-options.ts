import { Command, InvalidArgumentError, Option } from "commander";
import { exitCodes } from "../workflow/process-end.js";
import { type AgentName, agentNames, isAgentName } from "./agent-names.js";

/** What the command line of the demo says. */
export interface DemoOptions {
  /** A server that is running; undefined to start one. */
  readonly server: string | undefined;
  readonly contract: string | undefined;
  readonly payloads: string | undefined;
  /** Where the generated files go; undefined for a new temporary folder. */
  readonly out: string | undefined;
  /** Whether the demo's own server stays up until Ctrl+C. */
  readonly keep: boolean;
  /** The agents in the order in which they start, each when the one before is ready; undefined to start all at once. */
  readonly order: readonly AgentName[] | undefined;
  /** The agent that is killed in the middle of its work and started again. */
  readonly kill: AgentName | undefined;
  /** Whether two agents are told to wait for each other. */
  readonly deadlock: boolean;
  readonly timeoutSeconds: number;
}

/** Reads the command line; prints the help, or what is wrong with it, and ends the process when there is nothing to run. */
export function demoOptions(): DemoOptions {
  const command = new Command("npm run demo --")
    .description(
      "Four agents, each a process of its own, turn a JSON Schema into TypeScript models and validators and test them " +
        "with real payloads. All they know of each other are signals.",
    )
    .option("--server <url>", "coordination server (default: starts one of its own)", serverUrl)
    .option("--contract <file>", "JSON Schema file (default: every webhook of GitHub, @octokit/webhooks-schemas)")
    .option(
      "--payloads <path>",
      "folder of JSON files, or one file, to validate; a folder or file is named for its event type " +
        "(default: 329 real payloads of @octokit/webhooks-examples for the default contract, else none)",
    )
    .option("--out <folder>", "folder for the generated files (default: a new temporary one)")
    .option("--keep", "keep the demo's own server running at the end, until Ctrl+C", false)
    .option(
      "--order <agents>",
      `start one agent after the other, for example ${[...agentNames].reverse()} (default: all at once)`,
      startOrder,
    )
    .addOption(
      new Option("--kill <agent>", "kill an agent (SIGKILL) in the middle of its work and start it again").choices(
        agentNames,
      ),
    )
    .option("--deadlock", "tell both generators to wait for each other, and show that this is refused", false)
    .option("--timeout <seconds>", "how long the workflow may take", wholeSeconds, 300)
    .addHelpText("after", exitCodeHelp)
    .exitOverride((error) => process.exit(error.exitCode === 0 ? 0 : exitCodes.usage));
  const flags = command.parse().opts();
  return {
    server: flags["server"],
    contract: flags["contract"],
    payloads: flags["payloads"],
    out: flags["out"],
    keep: flags["keep"],
    order: flags["order"],
    kill: flags["kill"],
    deadlock: flags["deadlock"],
    timeoutSeconds: flags["timeout"],
  };
}

const exitCodeHelp = `
Exit code: 0 when every agent completed well. Payloads that do not pass are the workflow's finding, not its failure: they are
named, and lower the quality score. With --deadlock, 0 also says that the deadlock was refused. 1 when an agent failed, when something could not be generated, or when a model does not
type-check. 2 when the command line, the contract, the payloads or the output folder cannot be used. 130 after Ctrl+C.`;

function serverUrl(text: string): string {
  if (URL.canParse(text) && ["http:", "https:"].includes(new URL(text).protocol)) return text;
  throw new InvalidArgumentError("must be a URL such as http://127.0.0.1:50051");
}

function startOrder(text: string): readonly AgentName[] {
  const names = text.split(",");
  const isComplete = names.every(isAgentName) && new Set(names).size === agentNames.length;
  if (isComplete && names.length === agentNames.length) return names;
  throw new InvalidArgumentError(`must name each of ${agentNames.join(", ")} once, with commas between`);
}

function wholeSeconds(text: string): number {
  const value = Number(text);
  if (Number.isSafeInteger(value) && value >= 1 && value <= 86_400) return value;
  throw new InvalidArgumentError("must be a whole number of seconds from 1 to 86400");
}
