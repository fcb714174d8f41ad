import { readFileSync } from "node:fs";
import { mkdir, mkdtemp, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterAll, beforeAll, describe, expect, test } from "@jest/globals";
import { atServer, readmeBlocks } from "../support/readme-blocks.js";
import { runCommand } from "../support/run-command.js";
import { type SpawnedServer, spawnServer } from "../support/spawned-server.js";

const ROOT = fileURLToPath(new URL("../..", import.meta.url));
const COMPILER = join(ROOT, "node_modules", "typescript", "bin", "tsc");

/** What each program of the README prints, in its order. */
const PRINTED = [
  "UserModel\n",
  "1n\n",
  "[ 1n, 2n ]\nAGENT_NOT_FOUND\n2n\n",
  "UserModel\n1 model\ntrue\n",
  "User: attempt 1, still its own: true\nOrder: attempt 2, still its own: true\ngiven up: 2, no such type\n1n\nRecursive: attempt 1\n",
  "{ of: 'User' }\n[ 3n, undefined, 2n ]\ncontract-parser\n",
  "0.95\n1 undefined\n1n\n1n\n",
  "[ 'model-generator: 3 of 5 models' ]\n",
  "CURSOR_AHEAD: going on after 1\n",
];

const markdown = readFileSync(join(ROOT, "client-sdk", "README.md"), "utf8");
const programs = readmeBlocks(markdown).filter(({ language }) => language === "ts");

describe("the SDK's README", () => {
  let server: SpawnedServer;
  let directory: string;

  beforeAll(async () => {
    server = await spawnServer();
    const cache = join(ROOT, "test", ".cache"); // in the workspace, so that the programs find its packages
    await mkdir(cache, { recursive: true });
    directory = await mkdtemp(join(cache, "client-sdk-readme-"));
    for (const [index, { text }] of programs.entries()) {
      await writeFile(join(directory, `program-${index}.ts`), atServer(text, server.port));
    }
    const compilerOptions = { composite: false, incremental: false, declaration: false, declarationMap: false };
    const tsconfig = { extends: join(ROOT, "tsconfig.base.json"), compilerOptions, include: ["*.ts"] };
    await writeFile(join(directory, "tsconfig.json"), JSON.stringify(tsconfig));
  });

  afterAll(async () => {
    await server.stop();
    await rm(directory, { recursive: true, force: true });
  });

  test("compiles under the strict settings of the project", async () => {
    const { code, stdout } = await runCommand({ args: [COMPILER, "-p", directory] });
    expect({ code, stdout }).toEqual({ code: 0, stdout: "" });
  });

  test("has an expectation for each program", () => {
    expect(programs).toHaveLength(PRINTED.length);
  });

  test.each([...PRINTED.entries()])("prints what it promises: program %i", async (index, printed) => {
    const { code, stdout, stderr } = await runCommand({ args: [join(directory, `program-${index}.js`)] });
    expect({ code, stdout, stderr }).toEqual({ code: 0, stdout: printed, stderr: "" });
  });
});
