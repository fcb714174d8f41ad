import { createValidatorGenerator } from "./agents/validator-generator-agent.js";
import { runAgentProgram } from "./workflow/agent-program.js";

await runAgentProgram({
  name: "validator-generator",
  description:
    "Writes a validator of each contract as it resolves, and answers requests for validators until the payloads are validated.",
  createAgent: (context) => createValidatorGenerator(context),
});
