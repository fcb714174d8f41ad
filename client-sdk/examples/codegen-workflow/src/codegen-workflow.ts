import { demoOptions } from "./demo/demo-options.js";
import { runDemo } from "./demo/run-demo.js";
import { exitCodes, interruption } from "./workflow/process-end.js";
import { WorkflowInputError } from "./workflow-input-error.js";

const options = demoOptions();
using interrupted = interruption();
try {
  const succeeded = await runDemo(options, interrupted.signal);
  if (!succeeded) process.exitCode = exitCodes.failed;
} catch (error) {
  console.error(error instanceof Error ? error.message : String(error));
  process.exitCode = interrupted.exitCode ?? (error instanceof WorkflowInputError ? exitCodes.usage : exitCodes.failed);
}
