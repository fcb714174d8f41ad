/** Ends a run with one line that counts it: `N passed, N failed`, and what was skipped. A suite that cannot run failed. */
class ClosingLineReporter {
  onRunComplete(_contexts, results) {
    const failed = results.numFailedTests + results.numRuntimeErrorTestSuites;
    const skipped = results.numPendingTests + results.numTodoTests;
    const line = `${results.numPassedTests} passed, ${failed} failed${skipped > 0 ? `, ${skipped} skipped` : ""}`;
    process.once("exit", () => console.log(line)); // after the summary, which jest writes last of all reporters
  }
}

// biome-ignore lint/style/noDefaultExport: the form in which jest reads a reporter
export default ClosingLineReporter;
