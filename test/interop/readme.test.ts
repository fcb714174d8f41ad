import { mkdtemp, rm, symlink, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { delimiter, dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterAll, beforeAll, expect, test } from "@jest/globals";
import { atServer, readmeBlocks } from "../support/readme-blocks.js";
import { type CommandResult, runCommand } from "../support/run-command.js";
import { spawnProcess } from "../support/spawned-process.js";
import { type SpawnedServer, spawnServer } from "../support/spawned-server.js";
import { describeWith } from "./toolchain.js";

const ROOT = fileURLToPath(new URL("../..", import.meta.url));

let server: SpawnedServer;
let directory: string;

beforeAll(async () => {
  server = await spawnServer();
  directory = await mkdtemp(join(tmpdir(), "readme-"));
  await symlink(join(ROOT, "proto"), join(directory, "proto"));
});

afterAll(async () => {
  await server.stop();
  await rm(directory, { recursive: true, force: true });
});

/** The blocks under a heading as commands of bash, run in a folder of their own with one program first on the path. */
function commands(heading: string, program: string) {
  return readmeBlocks()
    .filter((block) => block.heading === heading && block.language === "sh")
    .map(({ text }) => ({
      command: "bash",
      args: ["-euo", "pipefail", "-c", atServer(text, server.port)],
      cwd: directory,
      env: { PATH: [dirname(program), process.env["PATH"]].join(delimiter), PYTHONPATH: "stubs" },
    }));
}

async function succeed(options: Parameters<typeof runCommand>[0] | undefined): Promise<CommandResult> {
  if (options === undefined) throw new Error("the README has no such block");
  const result = await runCommand(options);
  expect(result).toMatchObject({ code: 0 });
  return result;
}

/** Runs a command that streams until its output matches. */
async function follow(options: Parameters<typeof runCommand>[0] | undefined, pattern: RegExp): Promise<string> {
  if (options === undefined) throw new Error("the README has no such block");
  await using stream = await spawnProcess(options);
  await stream.waitForOutput(pattern);
  await stream.stop();
  return stream.stdout();
}

describeWith("grpcurl", (grpcurl) => {
  test("lists, sends and subscribes as the README shows", async () => {
    const [send, subscribe, ...others] = commands("grpcurl", grpcurl);
    const { stdout } = await succeed(send);
    expect(stdout).toContain("coordination.v1.SignalService");
    expect(stdout).toContain('"signalId"');
    expect(await follow(subscribe, /"caughtUp"/)).toContain('"resultSummary": "5 models"');
    expect(others).toEqual([]);
  });
});

describeWith("grpcurl", (grpcurl) => {
  test("hands out work as the README shows", async () => {
    const [consume, settle, ...others] = commands("Hand out work", grpcurl);
    if (consume === undefined || settle === undefined) throw new Error("the README has no such block");
    await using consumer = await spawnProcess(consume);
    const output = await consumer.waitForOutput(/"deliveryId": "([\w-]+)"/);
    const args = settle.args.map((text) => text.replace(/"delivery_id":"[\w-]+"/, `"delivery_id":"${output[1]}"`));
    const { stdout } = await succeed({ ...settle, args });
    expect(stdout).not.toContain('"error"');
    expect(stdout).toContain('"results"');
    await consumer.stop();
    expect(others).toEqual([]);
  });
});

describeWith("curl", (curl) => {
  test("sends, reads and subscribes as the README shows", async () => {
    const [send, subscribe, ...others] = commands("curl", curl);
    const { stdout } = await succeed(send);
    expect(stdout).toContain('"signalId"');
    expect(stdout).toContain("Need validator for UserModel");
    expect(stdout).toContain('"totalSignalsSent"');
    expect(await follow(subscribe, /"caughtUp"/)).toContain("Need validator for UserModel");
    expect(others).toEqual([]);
  });
});

describeWith("python", (python) => {
  test("generates stubs, sends and subscribes as the README shows", async () => {
    const [generate, ...others] = commands("Python", python);
    expect(others).toEqual([]);
    await succeed(generate);
    const programs = readmeBlocks().filter(({ language }) => language === "python");
    expect(programs).toHaveLength(1);
    await writeFile(join(directory, "program.py"), atServer(programs[0]?.text ?? "", server.port));
    const env = { PYTHONPATH: "stubs" };
    const { stdout } = await succeed({ command: python, args: ["program.py"], cwd: directory, env });
    expect(stdout).toBe("#1 model-gen: agent_completed\n");
  });
});
