import { createContractParser } from "./agents/contract-parser-agent.js";
import { workflowInput } from "./default-input.js";
import { type AgentFlags, runAgentProgram } from "./workflow/agent-program.js";

interface ContractParserFlags extends AgentFlags {
  readonly contract?: string;
  readonly payloads?: string;
}

await runAgentProgram<ContractParserFlags>({
  name: "contract-parser",
  description: "Resolves the contract of every event type of a JSON Schema, with the payloads that are there for it.",
  addFlags: (command) =>
    command
      .option("--contract <file>", "JSON Schema file (default: the webhooks of GitHub)")
      .option(
        "--payloads <path>",
        "folder of JSON files, or one file (default: 329 real payloads for the default contract, else none)",
      ),
  createAgent: (context, flags) => createContractParser(context, workflowInput(flags)),
});
