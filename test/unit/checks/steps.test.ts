import { describe, expect, test } from "@jest/globals";
import { runCommand } from "../../support/run-command.js";

const STEPS = new URL("../../checks/steps.mjs", import.meta.url).href;
const SOME = { good: ["node", "--version"], bad: ["node", "-e", "console.log('why'); process.exit(3)"] };

/** Runs the runner in a process of its own; its exit code is 0 when it says that all passed. */
function run(steps: Readonly<Record<string, readonly string[]>>, names: readonly string[] = []) {
  const script = `import { runSteps } from ${JSON.stringify(STEPS)};
    process.exitCode = (await runSteps(${JSON.stringify(steps)}, ${JSON.stringify(names)})) ? 0 : 1;`;
  return runCommand({ args: ["--input-type=module", "-e", script] });
}

const withoutSeconds = (text: string) =>
  text
    .replaceAll(/\d+\.\d s/g, "N s")
    .trim()
    .split("\n");

describe("runSteps", () => {
  test("runs every step and shows the output of those that fail", async () => {
    const { code, stdout } = await run({ bad: SOME.bad, good: SOME.good });
    expect(code).toBe(1);
    expect(withoutSeconds(stdout)).toEqual([
      "FAIL bad (N s)",
      `     ${SOME.bad.join(" ")}`,
      "why",
      "",
      "ok   good (N s)",
      "1 passed, 1 failed",
    ]);
  });

  test("runs the steps that are named", async () => {
    const { code, stdout } = await run(SOME, ["good"]);
    expect(code).toBe(0);
    expect(withoutSeconds(stdout)).toEqual(["ok   good (N s)", "1 passed, 0 failed"]);
  });

  test("fails a step whose program does not exist", async () => {
    const { code, stdout } = await run({ missing: ["no-such-program"] });
    expect(code).toBe(1);
    expect(stdout).toContain("ENOENT");
  });

  test("refuses an unknown name", async () => {
    const { code, stderr } = await run(SOME, ["god"]);
    expect(code).not.toBe(0);
    expect(stderr).toContain("no step god; there are good, bad");
  });
});
