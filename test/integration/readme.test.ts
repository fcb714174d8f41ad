import { existsSync } from "node:fs";
import { mkdtemp, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterAll, describe, expect, test } from "@jest/globals";
import { renderFlagTable } from "../../server/src/config.js";
import { atServer, readmeBlocks, readmeText } from "../support/readme-blocks.js";
import { describePrograms } from "../support/readme-programs.js";
import { runCommand } from "../support/run-command.js";
import { type SpawnedProcess, spawnProcess } from "../support/spawned-process.js";
import { spawnServer } from "../support/spawned-server.js";
import { workspaceDirectory } from "../support/temporary-directory.js";
import { openTestPostgres } from "../support/test-postgres.js";

const ROOT = fileURLToPath(new URL("../..", import.meta.url));
const SERVER_BIN = join(ROOT, "server", "bin", "coordination-server.js");
/** What each program of the README prints, in its order. */
const PRINTED = [
  "model-generator made UserModel\n",
  "#1 model-generator: interAgentMessage\nNeed validator for UserModel\n",
  ["model-generator waits for model-generator", "made UserModel", "[ 3n, 4n ]", ""].join("\n"),
  [
    "contract-parser: initialized, ready, contract",
    "model-generator: ask User, completed UserModel",
    "#2 model-generator after START",
    "#3 contract-parser after REPLY",
    "#4 model-generator after WAIT",
    "readme-timeline",
    "",
  ].join("\n"),
  "checks UserModel\nvalidator: acknowledged\n",
  "ci is ready { token: '[redacted]', user: 'ci' }\n",
  [
    "1 signal rolled back",
    "ROLLED_BACK by contract-parser",
    "SIGNALS_APPENDED by contract-parser",
    "SNAPSHOT_CREATED by contract-parser",
    "SIGNALS_APPENDED by contract-parser",
    "#1 User",
    "",
  ].join("\n"),
];

const postgres = await openTestPostgres();

afterAll(async () => postgres?.[Symbol.asyncDispose]());

describePrograms("the README's TypeScript", PRINTED);

test("the README's first program is saved as first.mjs and run by node alone", async () => {
  const [program] = readmeBlocks().filter(({ language }) => language === "ts");
  await using directory = await workspaceDirectory();
  await using server = await spawnServer();
  const file = join(directory.path, "first.mjs");
  await writeFile(file, atServer(program?.text ?? "", server.port));
  expect(await runCommand({ args: [file] })).toEqual({ code: 0, stdout: PRINTED[0], stderr: "" });
});

/** The commands of the server under a heading of the README. */
function commandsUnder(title: string): readonly string[] {
  const blocks = readmeBlocks().filter(({ language, heading }) => language === "sh" && heading === title);
  return blocks.flatMap(({ text }) => text.split("\n")).filter((line) => line.startsWith("npx coordination-server "));
}

describe("the README's work on a store", () => {
  test("runs as it is written", async () => {
    const directory = await mkdtemp(join(tmpdir(), "readme-store-"));
    const commands = commandsUnder("Look after a store");
    try {
      await (await spawnServer(["--store", `lmdb:${join(directory, ".coordination")}`])).stop();
      for (const command of commands) {
        const [, , ...args] = command.split(" ");
        const { code, stderr } = await runCommand({ args: [SERVER_BIN, ...args], cwd: directory });
        expect({ command, code, stderr }).toEqual({ command, code: 0, stderr: "" });
      }
      expect(commands).toHaveLength(3);
    } finally {
      await rm(directory, { recursive: true, force: true });
    }
  });
});

(postgres === undefined ? describe.skip : describe)("the README's servers on PostgreSQL", () => {
  test("run as it is written", async () => {
    const env = { COORDINATION_STORE: (await postgres?.createDatabase()) ?? "" };
    const commands = commandsUnder("Several servers on PostgreSQL");
    const servers: SpawnedProcess[] = [];
    try {
      for (const command of commands) {
        const [, , ...args] = command.replace(/--port \d+ &$/, "--port 0").split(" ");
        if (args.includes("--port")) {
          const server = await spawnProcess({ args: [SERVER_BIN, ...args], env });
          servers.push(server);
          await server.waitForOutput(/^listening on /m);
          continue;
        }
        if (args.includes("restore")) for (const server of servers) expect((await server.stop()).code).toBe(0);
        const { code, stderr } = await runCommand({ args: [SERVER_BIN, ...args], env });
        expect({ command, code, stderr }).toEqual({ command, code: 0, stderr: "" });
      }
    } finally {
      for (const server of servers) await server.stop();
    }
    expect([commands.length, servers.length]).toEqual([3, 2]);
  });
});

describe("the README", () => {
  test("shows the server's flags as they are", () => {
    expect(readmeText).toContain(renderFlagTable());
  });

  test("links to files that exist", () => {
    const targets = [...readmeText.matchAll(/\]\((?!https?:|#)([^)#]+)/g)].map(([, target]) => target ?? "");
    expect(targets.filter((target) => !existsSync(join(ROOT, target)))).toEqual([]);
    expect(targets).not.toHaveLength(0);
  });

  test("names scripts that exist", async () => {
    const { default: manifest } = await import("../../package.json", { with: { type: "json" } });
    const names = [...readmeText.matchAll(/npm run ([\w:]+)/g)].map(([, name]) => name ?? "");
    expect(names.filter((name) => !Object.hasOwn(manifest.scripts, name))).toEqual([]);
  });
});

describe("the decision records", () => {
  test("are all in their index, by number", async () => {
    const folder = join(ROOT, "docs", "adr");
    const records = (await readdir(folder)).filter((name) => /^\d{4}-.*[.]md$/.test(name)).sort();
    const index = await readFile(join(folder, "README.md"), "utf8");
    expect([...index.matchAll(/^\| \[\d{4}\]\((.+?)\)/gm)].map(([, name]) => name)).toEqual(records);
  });
});
