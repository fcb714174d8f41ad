import { createTestRunner } from "./agents/test-runner-agent.js";
import { type AgentFlags, milliseconds, runAgentProgram } from "./workflow/agent-program.js";

interface TestRunnerFlags extends AgentFlags {
  readonly responseTimeout: number;
}

await runAgentProgram<TestRunnerFlags>({
  name: "test-runner",
  description: "Validates the payloads with the generated validators, type-checks the generated models, and reports.",
  addFlags: (command) =>
    command.option("--response-timeout <ms>", "how long to wait for an answer to a request", milliseconds, 60_000),
  createAgent: (context, flags) => createTestRunner(context, { responseTimeoutMs: flags.responseTimeout }),
});
