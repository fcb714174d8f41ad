import { fileURLToPath } from "node:url";
import { afterAll, beforeAll, expect, test } from "@jest/globals";
import { runCommand } from "../support/run-command.js";
import { spawnProcess } from "../support/spawned-process.js";
import { type SpawnedServer, spawnServer } from "../support/spawned-server.js";
import { describeWith } from "./toolchain.js";

const AGENT = fileURLToPath(new URL("python/agent.py", import.meta.url));

interface ReadLine {
  readonly signal: { readonly sequence: string; readonly agent_completed: { readonly result_summary: string } };
  readonly cursor: string;
}

describeWith("python", (python, stubs) => {
  let server: SpawnedServer;

  beforeAll(async () => {
    server = await spawnServer();
  });

  afterAll(async () => {
    await server.stop();
  });

  const program = (...args: string[]) => ({
    command: python,
    args: [AGENT, `127.0.0.1:${server.port}`, ...args],
    env: { PYTHONPATH: stubs, PYTHONDONTWRITEBYTECODE: "1" },
  });

  const run = async (...args: string[]) => {
    const { code, stdout, stderr } = await runCommand(program(...args));
    return {
      code,
      stderr,
      lines: stdout
        .trim()
        .split("\n")
        .map((line) => JSON.parse(line)),
    };
  };

  const summaries = (lines: readonly ReadLine[]) => lines.map(({ signal }) => signal.agent_completed.result_summary);

  test("sends signals and reads them in order", async () => {
    await run("send", "order", "model-gen", "first");
    expect(await run("send", "order", "model-gen", "second")).toMatchObject({ code: 0, lines: [{ sequence: 2 }] });
    const { code, lines } = await run("read", "order", "2");
    expect(code).toBe(0);
    expect(summaries(lines)).toEqual(["first", "second"]);
  });

  test("gets live what is sent while it reads", async () => {
    await run("send", "live", "model-gen", "before");
    await using reader = await spawnProcess(program("read", "live", "2"));
    await reader.waitForOutput(/"before"/);
    await run("send", "live", "model-gen", "after");
    expect(await reader.exited).toEqual({ code: 0, signal: null });
    expect(reader.stdout()).toContain('"after"');
  });

  test("resumes from a cursor without loss or duplicate", async () => {
    await run("send", "resumed", "model-gen", "first");
    const { lines: before } = await run("read", "resumed", "1");
    await run("send", "resumed", "model-gen", "second");
    await run("send", "resumed", "model-gen", "third");
    const { lines: after } = await run("read", "resumed", "2", before[0].cursor);
    expect(summaries(after)).toEqual(["second", "third"]);
  });

  test("gets the reason of a refusal", async () => {
    const { code, lines } = await run("read", "order", "1", "no-cursor");
    expect(code).toBe(1);
    expect(lines).toMatchObject([
      {
        code: "INVALID_ARGUMENT",
        details: [{ type: "google.rpc.ErrorInfo", reason: "INVALID_CURSOR", domain: "coordination.v1" }],
      },
    ]);
  });

  test("gets the violations of an invalid request", async () => {
    const { code, lines } = await run("send", "-bad id-", "model-gen", "refused");
    expect(code).toBe(1);
    expect(lines).toMatchObject([{ code: "INVALID_ARGUMENT" }]);
    expect(lines[0].details).toContainEqual(
      expect.objectContaining({
        type: "buf.validate.Violations",
        violations: [
          expect.objectContaining({ field: { elements: [expect.objectContaining({ fieldName: "coordination_id" })] } }),
        ],
      }),
    );
  });
});
