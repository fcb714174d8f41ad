import { describe, expect, test } from "@jest/globals";
import { runCommand } from "../../support/run-command.js";

const REPORTER = new URL("../../support/closing-line-reporter.js", import.meta.url).href;
const CLEAN = {
  numPassedTests: 3,
  numFailedTests: 0,
  numRuntimeErrorTestSuites: 0,
  numPendingTests: 0,
  numTodoTests: 0,
};

/** What a process that ends a run with these results prints, and other reporters after it. */
async function printed(results: object): Promise<string> {
  const script = `import Reporter from ${JSON.stringify(REPORTER)};
    new Reporter().onRunComplete(new Set(), ${JSON.stringify(results)});
    console.log("the summary");`;
  const { stdout } = await runCommand({ args: ["--input-type=module", "-e", script] });
  return stdout;
}

describe("ClosingLineReporter", () => {
  test("counts on the last line, after the summary", async () => {
    expect(await printed(CLEAN)).toBe("the summary\n3 passed, 0 failed\n");
  });

  test("counts a suite that cannot run as failed", async () => {
    expect(await printed({ ...CLEAN, numFailedTests: 1, numRuntimeErrorTestSuites: 2 })).toContain(
      "3 passed, 3 failed\n",
    );
  });

  test("counts what was skipped", async () => {
    expect(await printed({ ...CLEAN, numPendingTests: 2, numTodoTests: 1 })).toContain(
      "3 passed, 0 failed, 3 skipped\n",
    );
  });
});
