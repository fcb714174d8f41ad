/** The programs of a README, compiled and run as a reader would. */
import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterAll, beforeAll, describe, expect, test } from "@jest/globals";
import { atServer, readmeBlocks } from "./readme-blocks.js";
import { runCommand } from "./run-command.js";
import { type SpawnedServer, spawnServer } from "./spawned-server.js";
import { type TemporaryDirectory, workspaceDirectory } from "./temporary-directory.js";

const root = fileURLToPath(new URL("../..", import.meta.url));
const compiler = join(root, "node_modules", "typescript", "bin", "tsc");

/** Describes the TypeScript of a README, by default the project's; `printed` is what each program prints, in their order. */
export function describePrograms(title: string, printed: readonly string[], markdown?: string): void {
  const programs = readmeBlocks(markdown).filter(({ language }) => language === "ts");

  describe(title, () => {
    let server: SpawnedServer;
    let directory: TemporaryDirectory;

    beforeAll(async () => {
      server = await spawnServer();
      directory = await workspaceDirectory();
      for (const [index, { text }] of programs.entries()) {
        await writeFile(join(directory.path, `program-${index}.ts`), atServer(text, server.port));
      }
      const compilerOptions = { composite: false, incremental: false, declaration: false, declarationMap: false };
      const tsconfig = { extends: join(root, "tsconfig.base.json"), compilerOptions, include: ["*.ts"] };
      await writeFile(join(directory.path, "tsconfig.json"), JSON.stringify(tsconfig));
    });

    afterAll(async () => {
      await server.stop();
      await directory[Symbol.asyncDispose]();
    });

    test("compiles under the strict settings of the project", async () => {
      const { code, stdout } = await runCommand({ args: [compiler, "-p", directory.path] });
      expect({ code, stdout }).toEqual({ code: 0, stdout: "" });
    });

    test("has an expectation for each program", () => {
      expect(programs).toHaveLength(printed.length);
    });

    test.each([...printed.entries()])("prints what it promises: program %i", async (index, expected) => {
      const { code, stdout, stderr } = await runCommand({ args: [join(directory.path, `program-${index}.js`)] });
      expect({ code, stdout, stderr }).toEqual({ code: 0, stdout: expected, stderr: "" });
    });
  });
}
