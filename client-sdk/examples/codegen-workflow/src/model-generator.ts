import { createModelGenerator } from "./agents/model-generator-agent.js";
import { runAgentProgram } from "./workflow/agent-program.js";

await runAgentProgram({
  name: "model-generator",
  description: "Writes TypeScript types of each contract as it resolves.",
  createAgent: (context) => createModelGenerator(context),
});
