/** The exit code of a program that cannot run here, as the runner knows it. */
const skippedExitCode = 77;

/** Ends the program as one that cannot run here. */
export function skipProgram(name: string, reason: string): never {
  console.log(`${name}: skipped, ${reason}`);
  process.exit(skippedExitCode);
}
